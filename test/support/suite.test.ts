/** What `npm test` says and with which code it ends. */
import {mkdtempSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect} from 'chai'
import {root, spawnProgram} from './cli.js'
import {temporaryFiles} from './temporary-files.js'

const passing = "it('passes', () => {})\n"
const failing = (why: string): string => `it('fails', () => {throw new Error('${why}')})\n`
const alone = '// @alone: it is about time\n'

describe('npm test', () => {
  const {folder} = temporaryFiles('suite')

  const runOn = async (files: Readonly<Record<string, string>>) => {
    const own = mkdtempSync(join(folder, 'files-'))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text)
    const suite = `${root}.test/support/suite.js`
    const {code, stdout} = await spawnProgram(process.execPath, [suite, own])
    return {code, stdout, last: stdout.trimEnd().split('\n').at(-1)}
  }

  it('counts what runs together and what runs alone', async () => {
    const {code, last} = await runOn({
      'a.test.js': `${passing}it('is skipped', function () {this.skip()})\n`,
      'b.test.js': alone + passing + passing,
      'not-a-test.js': failing('it is no test'),
    })
    expect({code, last}).deep.equal({code: 0, last: '3 passed, 0 failed, 1 skipped'})
  })

  it('fails with either, goes on after a death, and shows at the end what failed and where', async () => {
    const {code, last, stdout} = await runOn({
      'a.test.js': passing + failing('together'),
      'b.test.js': "import './missing.js'\n",
      'c.test.js': alone + failing('alone'),
      'd.test.js': `${alone}it('ends', () => process.exit(0))\n`,
      'e.test.js': alone + passing,
    })
    expect({code, last}).deep.equal({code: 1, last: '2 passed, 4 failed'})
    const end = stdout.slice(stdout.indexOf('4 failing'))
    for (const said of ['Error: together', '(b.test.js)', 'Error: alone', '(d.test.js)'])
      expect(end).include(said)
  })

  for (const [part, mark] of [
    ['together', ''],
    ['alone', alone],
  ] as const)
    it(`fails when only what runs ${part} does`, async () => {
      const {code} = await runOn({'a.test.js': mark + failing(part), 'b.test.js': passing})
      expect(code).equal(1)
    })

  it('fails when nobody handles what a promise was rejected with', async () => {
    const {code, last} = await runOn({
      'a.test.js': `it('is rejected', (done) => {Promise.reject(new Error('unseen')); setTimeout(done, 20)})\n`,
    })
    expect({code, last}).deep.equal({code: 1, last: '0 passed, 1 failed'})
  })

  it('fails without tests', async () => {
    const {code, last} = await runOn({'not-a-test.js': passing})
    expect({code, last}).deep.equal({code: 1, last: '0 passed, 0 failed'})
  })
})
