// Traces that others measured or published, as a user runs them: seconds behind what `llmsim --version` takes.
import {existsSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {inScratch, interleaved, llmsim, root} from './process.js'

const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const published = [
  {name: 'Azure conversation 2023', file: 'traces/azure-2023-conv.vidur.csv', most: 0.3},
  {name: 'Mooncake conversation', file: 'traces/mooncake-conversation.jsonl', most: 1.5},
]

const uniform = () => {
  const rows = Array.from({length: 10_000}, (_, i) => `${(i / 10).toFixed(1)},512,512`)
  return `${['arrived_at,input_tokens,output_tokens', ...rows].join('\n')}\n`
}

export const traces = () =>
  inScratch((folder) => {
    const path = join(folder, 'uniform.csv')
    writeFileSync(path, uniform())
    const all = [
      {name: '10,000 requests of 512 in, 512 out', path, most: 0.3, mostMb: 150},
      ...published.map(({file, ...rest}) => ({...rest, path: join(data, file)})),
    ].filter((trace) => existsSync(trace.path))
    const flags = ['--hardware', 'H100', '--npu', '1', '--no-save']
    const commands = {version: [llmsim, '--version']}
    for (const trace of all) commands[trace.name] = [llmsim, 'simulate', trace.path, ...flags]
    const taken = interleaved(commands, 7)
    return all.flatMap(({name, most, mostMb}) => [
      {
        name: `${name}: after --version`,
        value: taken[name].seconds - taken.version.seconds,
        unit: 's',
        most,
      },
      {
        name: `${name}: memory`,
        value: taken[name].rssMb,
        unit: 'MB',
        ...(mostMb && {most: mostMb}),
      },
    ])
  })
