import {strict as assert} from 'node:assert'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {accountEnergy} from '#llmsim/report/energy.js'
import {fleetColumns, summariseFleet} from '#llmsim/report/fleet.js'
import {powerColumns} from '#llmsim/report/power-file.js'
import {requestFields} from '#llmsim/report/request-files.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {summarise} from '#llmsim/report/summary.js'
import {parseWarmup} from '#llmsim/report/warmup.js'
import {weightTraffic} from '#llmsim/report/weight-traffic.js'
import {status} from '#llmsim/stats/outcomes.js'
import {buildRun, engine, sixRequests} from './build-run.js'

const page = readFileSync(join(import.meta.dirname, '../../docs/results.md'), 'utf8')

/** Names in backquotes in the first column of any table of the page. */
const documented = new Set(
  page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => [...line.split(' | ')[0]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)),
)

/** Paths of all leaves; lists count as their elements. */
function paths(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((element) => paths(element, path))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([field, part]) =>
    paths(part, path === '' ? field : `${path}.${field}`),
  )
}

describe('docs/results.md', () => {
  const rows = Array.from({length: 60}, (_, i) => ({
    ...sixRequests[0]!,
    ...(i === 0 && {status: status.rejected, reason: 'too long'}),
    arrived: i * 10,
    scheduled: i * 100,
    first: i * 100 + 1,
    finished: i * 100 + 2,
  }))
  const speculation = {verifications: 1, drafts: 3, accepted: 2, wasted: 1}
  const adapters = {loads: 1, hits: 1, held: 1, heldNs: 5}
  const tier = {
    name: 'cpu',
    hitTokens: 1,
    loadedBlocks: 1,
    writtenBlocks: 1,
    droppedBlocks: 0,
    blocks: 2,
    peakBlocks: 1,
    usedBlocks: 1,
  }
  const run = buildRun(rows, [
    engine({
      speculation,
      adapters,
      tiers: {loads: {count: 1, ns: 5}, linkBytes: 2, tiers: [tier]},
      received: {count: 1, bytes: 1, ns: 1},
    }),
  ])
  const outcomes = summarise(
    {...run, inPages: [true]},
    {
      slo: parseSlo('ttft=1s,tpot=1s,e2e=1s'),
      warmup: parseWarmup('1'),
      price: {usdPerHour: 1, devices: 1},
    },
  )
  const energy = accountEnergy({
    plan: {engines: [], hostsW: 1, linksW: 1, sources: []},
    busy: [],
    totals: [],
    window: {from: 0, to: 1e9},
    served: {requests: 1, inputTokens: 1, outputTokens: 1},
  })!.energy
  const changes = [{at: 0, ready: 1, starting: 0, draining: 0}]
  const fleet = {changes, on: [], scaleOuts: 0, scaleIns: 0}
  const busy = [{length: 1, starts: Float64Array.of(0), ends: Float64Array.of(10)}]
  const streamed = {totals: [engine({steps: 2})], busy}
  const weights = weightTraffic([{bytes: 8, linkNs: 4}], streamed)!
  const summary = {...outcomes, energy, weights, autoscaling: summariseFleet(fleet, 1)}
  const fields = new Set(
    paths(summary, '').map((path) => path.replace(/^(\w+_ms|goodput\.slo)\.\w+$/, '$1.*')),
  )

  it('lists every field of a summary', () => {
    assert.ok(fields.has('steady_state.warning') && fields.has('engines.mean_waiting'))
    assert.deepEqual(
      [...fields].filter((field) => !documented.has(field)),
      [],
    )
  })

  it('lists no field that does not exist', () => {
    const section = page.slice(page.indexOf('### summary'), page.indexOf('## requests.csv'))
    const listed = [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!)
    assert.deepEqual(
      listed.filter((field) => !fields.has(field)),
      [],
    )
  })

  it('lists the columns of requests.csv in their order', () => {
    const section = page.slice(page.indexOf('## requests.csv'), page.indexOf('## power.csv'))
    const listed = [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!)
    assert.deepEqual(listed, [...requestFields])
  })

  it('lists the columns of power.csv in their order', () => {
    const section = page.slice(page.indexOf('## power.csv'), page.indexOf('## instances.csv'))
    const listed = [...section.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]!)
    assert.deepEqual(listed.slice(0, powerColumns.length), powerColumns)
  })

  it('lists the columns of instances.csv in their order', () => {
    const section = page.slice(page.indexOf('## instances.csv'), page.indexOf('## --itl'))
    const listed = [...section.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]!)
    assert.deepEqual(listed.slice(0, fleetColumns.length), fleetColumns)
  })
})
