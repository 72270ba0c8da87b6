// How long a user waits for nothing: medians of eleven rounds, as ratios within them.
import {rmSync} from 'node:fs'
import {join} from 'node:path'
import {writeTrace} from '../dist/index.js'
import {poisson} from './engine.js'
import {inScratch, interleaved, llmsim, median, root, runNode} from './process.js'

const bytecode = join(root, 'dist/bundle/llmsim.cjs.cache')

/** Seconds of the first run after an installation, which has to compile what it uses. */
const firstRun = (args) =>
  median(
    Array.from({length: 5}, () => {
      rmSync(bytecode, {force: true})
      return runNode(args).seconds
    }),
  )

export const startUp = () =>
  inScratch(async (folder) => {
    const plain = join(folder, 'plain.csv')
    await writeTrace(await poisson(300, 10), plain, 'llmsim')
    const simulate = (trace) => [llmsim, 'simulate', trace, '--hardware', 'H100', '--no-save']
    const taken = interleaved(
      {
        node: ['-e', '0'],
        nothing: [join(root, 'bench/no-op/run.js'), 'nothing'],
        help: [llmsim, '--help'],
        plain: simulate(plain),
        chat: simulate(join(root, 'traces/chat.csv')),
      },
      11,
    )
    const seconds = (name) => taken[name].seconds
    return [
      {name: '--help ÷ node -e 0', value: seconds('help') / seconds('node'), unit: '×', most: 3},
      {
        name: 'simulate of 300 requests ÷ an oclif command that does nothing',
        value: seconds('plain') / seconds('nothing'),
        unit: '×',
        most: 1.5,
      },
      {
        name: 'the same as the first run, without bytecode',
        value: firstRun(simulate(plain)) / seconds('nothing'),
        unit: '×',
      },
      {
        name: 'the same with sessions and prefixes (traces/chat.csv)',
        value: seconds('chat') / seconds('nothing'),
        unit: '×',
      },
      {name: 'node -e 0', value: 1000 * seconds('node'), unit: 'ms'},
      {name: 'an oclif command that does nothing', value: 1000 * seconds('nothing'), unit: 'ms'},
    ]
  })
