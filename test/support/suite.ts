/**
 * `npm test`: every file of tests in a process of the pool, as many at a time as there are cores. What measures the
 * real clock says so in a line of its own, `// @alone: why`; it comes afterwards, one file at a time.
 * `suite.js FOLDER` runs the tests of another folder.
 */
import {readdirSync, readFileSync} from 'node:fs'
import {availableParallelism} from 'node:os'
import {join, relative} from 'node:path'
import Mocha, {reporters} from 'mocha'
import {root} from './cli.js'
import CountingReporter from './reporter.js'

const folder = process.argv[2] ?? join(root, '.test')
const {mocha: options} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What a test costs is memory too: more than four at a time are not asked for. */
const atATime = Math.min(4, availableParallelism())

/** Runs files and reports each when it has ended, without an epilogue. */
const run = (files: readonly string[], jobs: number): Promise<reporters.Base> =>
  new Promise((resolve) => {
    let report: reporters.Base
    class PartReporter extends reporters.Spec {
      constructor(...given: ConstructorParameters<typeof reporters.Spec>) {
        super(...given)
        report = this
      }
      override epilogue(): void {}
    }
    // Beside others a test has a part of the machine.
    const timeout = (jobs > 1 ? 3 : 1) * options.timeout
    const mocha = new Mocha({
      timeout,
      reporter: PartReporter,
      jobs,
      require: [join(root, options.require)],
    })
    // Even one at a time in another process: one that dies is a failure of its file, and the others go on.
    mocha.parallelMode(true)
    for (const file of files) mocha.addFile(file)
    mocha.run(() => resolve(report))
  })

const files = readdirSync(folder, {recursive: true, encoding: 'utf8'})
  .filter((file) => file.endsWith('.test.js'))
  .sort()
  .map((file) => join(folder, file))
const alone = files.filter((file) => /^\/\/ @alone: /m.test(readFileSync(file, 'utf8')))
const together = files.filter((file) => !alone.includes(file))

// Nothing but the end below takes these two back: the pool waits for ever for a second process that died.
process.exitCode = 1
const unfinished = () =>
  process.stderr.write('The tests did not come to their end: processes died.\n')
process.on('exit', unfinished)

const parts = [await run(together, atATime)]
// A pool for each: after a death, one with a single process has none for the next file.
for (const file of alone) parts.push(await run([file], 1))

const sum = (of: 'passes' | 'failures' | 'pending' | 'duration'): number =>
  parts.reduce((total, {stats}) => total + (stats?.[of] ?? 0), 0)
const stats = {
  passes: sum('passes'),
  failures: sum('failures'),
  pending: sum('pending'),
  duration: sum('duration'),
}
const failures = parts.flatMap((part) => part.failures)
for (const failure of failures) {
  // Of a file that was not loaded, or whose process died, mocha's title does not say which it is.
  const file = (failure.err as {file?: string} | undefined)?.file
  if (file !== undefined) failure.title += ` (${relative(folder, file)})`
}
process.off('exit', unfinished)
CountingReporter.prototype.epilogue.call({stats, failures})
if (stats.failures === 0 && stats.passes > 0) process.exitCode = 0
