// Whole processes, measured from outside: what a user waits for and what the machine has to hold.
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const llmsim = join(root, 'bin/run.js')

export const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

/** A folder that is gone when `work` is done. */
export const inScratch = async (work) => {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-bench-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, {recursive: true})
  }
}

/** Runs `node ...args` once: seconds on the wall, and its largest resident memory in MB. Throws where it fails. */
export const runNode = (args) =>
  inScratchNow((folder) => {
    const usage = join(folder, 'usage')
    const startedAt = performance.now()
    const {status, stderr, stdout} = spawnSync(
      process.execPath,
      ['--import', join(root, 'bench/usage.js'), ...args],
      {
        env: {...process.env, LLMSIM_BENCH_USAGE: usage, NO_COLOR: '1'},
        encoding: 'utf8',
        maxBuffer: 2 ** 28,
      },
    )
    const seconds = (performance.now() - startedAt) / 1000
    if (status !== 0) throw new Error(`node ${args.join(' ')} failed:\n${stderr}`)
    return {seconds, rssMb: Number(readFileSync(usage, 'utf8')), stdout}
  })

const inScratchNow = (work) => {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-bench-'))
  try {
    return work(folder)
  } finally {
    rmSync(folder, {recursive: true})
  }
}

/** Medians over `times` rounds in which every command runs once: what disturbs one round disturbs all commands. */
export const interleaved = (commands, times) => {
  const runs = Object.fromEntries(Object.keys(commands).map((name) => [name, []]))
  for (let i = 0; i < times; i++)
    for (const [name, args] of Object.entries(commands)) runs[name].push(runNode(args))
  return Object.fromEntries(
    Object.entries(runs).map(([name, all]) => [
      name,
      {
        seconds: median(all.map(({seconds}) => seconds)),
        rssMb: Math.max(...all.map(({rssMb}) => rssMb)),
      },
    ]),
  )
}
