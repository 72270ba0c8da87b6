/** The house rules of docs/ARCHITECTURE.md, held to the source itself. */
import {readdirSync, readFileSync} from 'node:fs'
import {basename, dirname, join, relative, sep} from 'node:path'
import {expect} from 'chai'
import {root} from './support/cli.js'
import {blank, codeOf, importsOf} from './support/source.js'

/** From the top of the house to its ground: a layer imports from itself and from layers further down. */
const layers: readonly (readonly string[])[] = [
  ['commands', 'hooks', 'base-command', 'start', 'fault', 'parse-fault', 'unknown-command'],
  ['command-flags'],
  ['index'],
  ['library'],
  ['study'],
  ['measured'],
  ['report'],
  ['server'],
  ['cluster'],
  ['tiers'],
  ['compat'],
  ['engine'],
  ['latency'],
  ['catalogue'],
  ['trace'],
  ['stats'],
  ['edit-distance', 'errors', 'make-folder', 'unreadable'],
]

/**
 * The files by which a folder may be entered from outside. A folder that is not in this table is open:
 * close it by naming its face once its shape has settled.
 */
const faces: Readonly<Record<string, readonly string[]>> = {
  catalogue: [
    'engine-profile.ts',
    'engines.ts',
    'expert-padding.ts',
    'hardware-shape.ts',
    'hardware.ts',
    'json-text.ts',
    'kernel-samples.ts',
    'kernel-tables.ts',
    'kv-groups.ts',
    'kv-layout.ts',
    'layer-tables.ts',
    'link-defaults.ts',
    'memory-devices.ts',
    'memory.ts',
    'model-arithmetic.ts',
    'model-shape.ts',
    'models.ts',
    'parallelism.ts',
    'pim.ts',
    'power-figures.ts',
    'profile-bundle.ts',
    'schema-section.ts',
    'weight-format.ts',
    'yaml-file.ts',
  ],
  cluster: [
    'adapter-slots.ts',
    'autoscaler.ts',
    'cluster.ts',
    'gate.ts',
    'loading-times.ts',
    'network.ts',
    'replay.ts',
    'replica.ts',
    'router.ts',
    'shared-links.ts',
    'kv-links.ts',
    'token-timeline.ts',
    'workload.ts',
  ],
  'command-flags': [
    'duration-flag.ts',
    'engine-flags.ts',
    'extra-flags.ts',
    'kv-offload-flag.ts',
    'listen-flags.ts',
    'measured-flags.ts',
    'memory-flags.ts',
    'outputs.ts',
    'pim-flags.ts',
    'rate-search.ts',
    'trace-flags.ts',
  ],
  commands: [],
  compat: [
    'cluster-json.ts',
    'llmservingsim.ts',
    'memory.ts',
    'pim-attention.ts',
    'profile-step.ts',
    'rank-network.ts',
    'rank-work.ts',
    'sub-batches.ts',
    'weight-placement.ts',
  ],
  engine: [
    'batch.ts',
    'columns.ts',
    'engine-config.ts',
    'engine.ts',
    'free-list.ts',
    'kv-below.ts',
    'parted-identity.ts',
    'policy.ts',
    'prefix-identity.ts',
    'request-pool.ts',
    'speculation.ts',
    'totals.ts',
  ],
  hooks: [],
  latency: [
    'collective.ts',
    'exchange.ts',
    'expert-load.ts',
    'fit/attention-fit.ts',
    'fit/attention-rows.ts',
    'fit/collective-fit.ts',
    'fit/gemm-fit.ts',
    'fit/moe-fit.ts',
    'fit/skew-fit.ts',
    'host.ts',
    'moe.ts',
    'pim.ts',
    'point-to-point.ts',
    'precision.ts',
    'profile/profile.ts',
    'roofline.ts',
    'scaled-hardware.ts',
    'step-time.ts',
    'sub-batches.ts',
    'weight-stream.ts',
  ],
  library: ['bounds.ts', 'functions.ts', 'runs.ts', 'trace.ts'],
  measured: ['measured-run.ts', 'prefixes.ts', 'read.ts'],
  report: [
    'calibration-page.ts',
    'calibration.ts',
    'check.ts',
    'cost.ts',
    'device-table.ts',
    'duration.ts',
    'energy.ts',
    'figures.ts',
    'fleet.ts',
    'groups.ts',
    'hardware-tables.ts',
    'measures.ts',
    'model-card.ts',
    'power-file.ts',
    'progress.ts',
    'rate-table.ts',
    'report-formats.ts',
    'report.ts',
    'request-files.ts',
    'request-metrics.ts',
    'run-store.ts',
    'series-file.ts',
    'served-rate.ts',
    'slo.ts',
    'steady-state.ts',
    'style.ts',
    'summary.ts',
    'tables.ts',
    'timeline-file.ts',
    'validation.ts',
    'warmup.ts',
    'weight-traffic.ts',
  ],
  server: ['answering.ts', 'faults.ts', 'live-prefixes.ts', 'port.ts', 'proxy/upstream.ts'],
  stats: [
    'busy-spans.ts',
    'correlation.ts',
    'outcomes.ts',
    'percentiles.ts',
    'sample-columns.ts',
    'samples.ts',
    'series.ts',
  ],
  study: [
    'calibrate-catalogue.ts',
    'calibrate.ts',
    'deployment.ts',
    'find-rate.ts',
    'job.ts',
    'kv-tiers.ts',
    'listen.ts',
    'lora.ts',
    'measured-request.ts',
    'pim.ts',
    'rate-job.ts',
    'run-many.ts',
    'run-request.ts',
    'simulate.ts',
    'speculation.ts',
    'validate.ts',
    'weights/rules.ts',
    'whole-request.ts',
  ],
  tiers: ['engine-tiers.ts', 'tier-groups.ts', 'tier-links.ts', 'tier-pool.ts', 'tier-writer.ts'],
  trace: [
    'block-ids.ts',
    'cyclic.ts',
    'generate.ts',
    'info-text.ts',
    'info.ts',
    'parts.ts',
    'read.ts',
    'recording.ts',
    'repeat.ts',
    'samplers.ts',
    'select.ts',
    'trace.ts',
    'transform.ts',
    'write.ts',
  ],
}

/** The same for folders inside of folders, from anywhere outside of them. */
const innerFaces: Readonly<Record<string, readonly string[]>> = {
  'study/weights': [
    'cluster-weights.ts',
    'json-placement.ts',
    'memory-schema.ts',
    'placement.ts',
    'rules.ts',
  ],
}

/** Longer than 400 lines, each with the reason. */
const longFiles: Readonly<Record<string, string>> = {}

/** Folders and files that run on any clock, anywhere: nothing below the server asks the machine. */
const pure = [
  'cluster',
  'tiers',
  'compat',
  'engine',
  'latency',
  'catalogue',
  'trace',
  'stats',
  'errors',
  'edit-distance',
]
const machine =
  /\b(?:Date\b|Math\s*\.\s*random\b|performance\s*\.|console\s*\.|set(?:Timeout|Interval|Immediate)\b|process\s*\.)/

const src = join(root, 'src')
const files = readdirSync(src, {recursive: true, encoding: 'utf8'})
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .map((file) => file.split(sep).join('/'))
  .sort()
const textOf = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]))

/** The folder directly under src/, or the name of a file that stands there. */
const roomOf = (file: string): string =>
  file.includes('/') ? file.slice(0, file.indexOf('/')) : basename(file, '.ts')

const floorOf = (room: string): number => layers.findIndex((layer) => layer.includes(room))

/** Edges inside src/, as file names; what is imported from packages is not of interest here. */
const edges = files.flatMap((from) =>
  importsOf(textOf.get(from)!)
    .filter(({specifier}) => specifier.startsWith('.') || specifier.startsWith('#llmsim/'))
    .map(({specifier, erased}) => {
      const path = specifier.startsWith('#')
        ? specifier.slice('#llmsim/'.length)
        : relative(src, join(src, dirname(from), specifier))
            .split(sep)
            .join('/')
      return {from, to: path.replace(/\.js$/, '.ts'), erased}
    }),
)

describe('the house', () => {
  it('has a floor for every folder and file of src/', () => {
    const homeless = [...new Set(files.map(roomOf))].filter((room) => floorOf(room) === -1)
    expect(homeless, 'add them to the layers in this test, and to docs/ARCHITECTURE.md').deep.equal(
      [],
    )
  })

  it('imports only what exists in src/', () => {
    const data = /\.(json|yaml)$/
    expect(edges.filter(({to}) => !textOf.has(to) && !data.test(to))).deep.equal([])
  })

  it('imports only downwards', () => {
    const upwards = edges.filter(({from, to}) => {
      const [above, below] = [roomOf(from), roomOf(to)]
      return above !== below && floorOf(below) < floorOf(above)
    })
    expect(upwards.map(({from, to}) => `${from} -> ${to}`)).deep.equal([])
  })

  it('has no cycles of imports that run (types may look back inside of a folder)', () => {
    const next = new Map<string, string[]>()
    for (const {from, to, erased} of edges)
      if (!erased) next.set(from, [...(next.get(from) ?? []), to])
    const state = new Map<string, 'open' | 'done'>()
    const cycles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === 'done') return
      if (state.get(file) === 'open') {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
        return
      }
      state.set(file, 'open')
      for (const to of next.get(file) ?? []) visit(to, [...path, file])
      state.set(file, 'done')
    }
    for (const file of files) visit(file, [])
    expect(cycles).deep.equal([])
  })

  it('is entered only through the faces of its folders', () => {
    const trespasses = edges.filter(({from, to}) => {
      const room = roomOf(to)
      const face = faces[room]
      return (
        face !== undefined && roomOf(from) !== room && !face.includes(to.slice(room.length + 1))
      )
    })
    expect(trespasses.map(({from, to}) => `${from} -> ${to}`)).deep.equal([])
  })

  it('is entered through faces where a folder lies in another, too', () => {
    const trespasses = Object.entries(innerFaces).flatMap(([folder, face]) =>
      edges.filter(
        ({from, to}) =>
          to.startsWith(`${folder}/`) &&
          !from.startsWith(`${folder}/`) &&
          !face.includes(to.slice(folder.length + 1)),
      ),
    )
    expect(trespasses.map(({from, to}) => `${from} -> ${to}`)).deep.equal([])
  })

  it('names as faces only files that exist', () => {
    const missing = Object.entries({...faces, ...innerFaces}).flatMap(([room, face]) =>
      face.map((file) => `${room}/${file}`).filter((file) => !textOf.has(file)),
    )
    expect(missing).deep.equal([])
  })
})

describe('the source', () => {
  it('asks no clock, dice, console or process below the server', () => {
    const asks = files
      .filter((file) => pure.includes(roomOf(file)))
      .flatMap((file) =>
        codeOf(textOf.get(file)!)
          .split('\n')
          .flatMap((line, index) => {
            const match = machine.exec(line)
            return match ? [`src/${file}:${index + 1}: ${match[0]}`] : []
          }),
      )
    expect(asks).deep.equal([])
  })

  it('uses only what is erased with the types', () => {
    const syntax = /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum|namespace)\s+\w/m
    expect(files.filter((file) => syntax.test(codeOf(textOf.get(file)!)))).deep.equal([])
  })

  it('exports by name; only what oclif and the thread pool load by themselves has a default', () => {
    const defaults = files.filter((file) => /^export default\b/m.test(codeOf(textOf.get(file)!)))
    expect(
      defaults.filter((file) => !/^(commands|hooks)\/|^study\/run-worker\.ts$/.test(file)),
    ).deep.equal([])
  })

  it('has files of at most 400 lines', () => {
    const long = files.filter((file) => textOf.get(file)!.split('\n').length > 401)
    expect(long.filter((file) => longFiles[file] === undefined)).deep.equal([])
    expect(
      Object.keys(longFiles).filter((file) => !long.includes(file)),
      'not long any more',
    ).deep.equal([])
  })

  it('has names that say what is inside, in kebab-case', () => {
    const vague = /(^|\/)(utils?|helpers?|types?|common|misc)(\/|\.ts$)/
    const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*\.ts$/
    expect(files.filter((file) => vague.test(file) || !kebab.test(file))).deep.equal([])
  })
})

describe('the scanner of these tests', () => {
  it('does not see comments, strings, templates or regular expressions', () => {
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: source as text
    const source = [
      "import {a} from './a.js' // import './no.js'",
      "/* import './no.js' Date.now() */",
      "export type {B} from './b.js'",
      "const s = 'Date.now()' + \"console.log\" + `Math.random() ${f(`process.exit` + '}')} Date`",
      'const r = /Date\\/["\'`]/g.test(s) ? 4 / 2 : x / y',
      "const c = await import('./c.js')",
      'const t = setTimeout(f, 1)',
    ].join('\n')
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: source as text
    expect(importsOf(source)).deep.equal([
      {specifier: './a.js', erased: false},
      {specifier: './b.js', erased: true},
      {specifier: './c.js', erased: false},
    ])
    expect(importsOf("f(' from ', ', from, ')")).deep.equal([])
    const code = codeOf(source)
    expect(code.split('\n').length).equal(7)
    expect(code.split('\n').map((line) => machine.test(line))).deep.equal([
      false,
      false,
      false,
      false,
      false,
      false,
      true,
    ])
    expect(blank('a\nb')).equal(' \n ')
  })

  it('sees code inside of templates', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: source as text
    expect(machine.exec(codeOf('const s = `now ${Date.now()}`'))?.[0]).equal('Date')
  })
})
