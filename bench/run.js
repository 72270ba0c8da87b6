// npm run bench [-- SECTION...] [--json] [--write] [--requests N] [--sizes N,N,…] [--profile]
// Measures speed and memory, section by section, and compares with the last figures kept in .llmsim/bench.json. Figures
// of one run are comparable with each other and with nothing else: machines are noisy. --write puts the tables into
// docs/performance.md, --profile says where the time of the engine goes.
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {cpus} from 'node:os'
import {dirname, join} from 'node:path'
import {parseArgs} from 'node:util'
import {workloads} from './cases.js'
import {deployment, poisson, run} from './engine.js'
import {fleet} from './fleet.js'
import {growth} from './growth.js'
import {mainCase} from './main.js'
import {portBench} from './port.js'
import {root} from './process.js'
import {reference} from './reference.js'
import {selfTimes} from './self-time.js'
import {startUp} from './start-up.js'
import {traces} from './traces.js'

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    json: {type: 'boolean', default: false},
    write: {type: 'boolean', default: false},
    profile: {type: 'boolean', default: false},
    requests: {type: 'string', default: '1000000'},
    sizes: {type: 'string', default: '10000,100000,1000000,10000000'},
  },
})

const sections = {
  main: {title: 'The main case', measure: () => mainCase({requests: Number(values.requests)})},
  traces: {title: 'Known traces', measure: traces},
  start: {title: 'Start-up', measure: startUp},
  cases: {title: 'Other workloads', measure: () => workloads({requests: 50_000})},
  fleet: {title: 'A fleet', measure: () => fleet({requests: Number(values.requests)})},
  reference: {title: 'Beside the plain engine', measure: reference},
  port: {title: 'The port', measure: async () => portRows(await portBench())},
  growth: {title: 'Growth', measure: () => growth({sizes: values.sizes.split(',').map(Number)})},
}
/** Its figures carry their unit in their name. */
const portRows = (figures) =>
  Object.entries(figures).map(([name, value]) => ({name, value, unit: ''}))

const keptIn = join(root, '.llmsim/bench.json')
const page = join(root, 'docs/performance.md')

const unknown = positionals.filter((name) => sections[name] === undefined)
if (unknown.length > 0) {
  console.error(`there is no section ${unknown[0]}; there are ${Object.keys(sections).join(', ')}`)
  process.exit(2)
}

/** Four figures are more than any machine repeats. */
const figure = (value) =>
  value.toLocaleString(
    'en-US',
    value >= 1000 ? {maximumFractionDigits: 0} : {maximumSignificantDigits: 3},
  )

const goalOf = ({most, least, unit}) => {
  if (most !== undefined) return `≤ ${figure(most)} ${unit}`.trim()
  return least === undefined ? '' : `≥ ${figure(least)} ${unit}`.trim()
}

const isMet = ({value, most = Infinity, least = -Infinity}) => value <= most && value >= least

const changeOf = (row, before) => {
  const last = before?.find(({name}) => name === row.name)?.value
  if (last === undefined) return ''
  const percent = Math.round(100 * (row.value / last - 1))
  return `${percent < 0 ? '' : '+'}${percent} %`
}

const print = ({title, rows}, before) => {
  console.log(`\n${title}`)
  for (const row of rows) {
    const cells = [
      `${figure(row.value)} ${row.unit}`.padStart(20),
      goalOf(row).padStart(22),
      (isMet(row) ? '' : 'MISSED').padEnd(6),
      changeOf(row, before).padStart(8),
    ]
    console.log(`${cells.join(' ')}  ${row.name}`)
  }
}

const markdown = (result) => {
  const {machine, node, date} = result.about
  const tables = Object.values(result.sections).map(({title, rows}) =>
    [
      `**${title}**`,
      '',
      '| what | measured | wanted |',
      '| --- | ---: | ---: |',
      ...rows.map(
        (row) =>
          `| ${row.name} | ${figure(row.value)} ${row.unit} | ${goalOf(row)}${isMet(row) ? '' : ' **(missed)**'} |`,
      ),
    ].join('\n'),
  )
  return [`Measured on ${date} with ${node} on ${machine}.`, ...tables].join('\n\n')
}

const writePage = (result) => {
  const text = readFileSync(page, 'utf8')
  const [head, rest] = text.split('<!-- bench -->')
  const tail = rest.split('<!-- /bench -->')[1]
  writeFileSync(page, `${head}<!-- bench -->\n\n${markdown(result)}\n\n<!-- /bench -->${tail}`)
}

const kept = existsSync(keptIn) ? JSON.parse(readFileSync(keptIn, 'utf8')) : {sections: {}}
const [{model}] = cpus()
const result = {
  about: {
    machine: `${cpus().length} cores of ${model}`,
    node: `Node ${process.versions.node}`,
    date: new Date().toISOString().slice(0, 10),
  },
  sections: {},
}
for (const name of positionals.length > 0 ? positionals : Object.keys(sections)) {
  const {title, measure} = sections[name]
  const rows = await measure()
  result.sections[name] = {title, rows}
  if (!values.json) print(result.sections[name], kept.sections[name]?.rows)
}
if (values.json) console.log(JSON.stringify(result, null, 2))
mkdirSync(dirname(keptIn), {recursive: true})
// Sections that were not measured now keep their last figures.
const merged = {...result, sections: {...kept.sections, ...result.sections}}
writeFileSync(keptIn, `${JSON.stringify(merged, null, 2)}\n`)
if (values.write) writePage(merged)
if (values.profile) {
  const engine = await deployment()
  const trace = await poisson(100_000, 34)
  run(trace, engine)
  console.log('\nself time of engine and summary')
  for (const [share, name] of (await selfTimes(() => run(trace, engine))).slice(0, 20))
    console.log(`${(100 * share).toFixed(1).padStart(6)} %  ${name}`)
}
