/**
 * The comparison of random clusters is worth what it catches: each of these faults in hand-offs, ranks that run together
 * and the event loop must turn it red.
 */
import {expect} from 'chai'
import fc from 'fast-check'
import type {Replay} from '#llmsim/cluster/replay.js'
import {defaultWeights, plainSeams, routers, type ScoreWeights} from '#llmsim/cluster/router.js'
import type {StepTime} from '#llmsim/latency/step-time.js'
import {clearMutants, type Fault, mutate} from '../engine/mutant.js'
import {
  buildCluster,
  type ClusterSpec,
  clusterSpecs,
  tieredClusterSpecs,
  wiredClusterSpecs,
} from '../reference/cluster-spec.js'
import type {ReferenceClusterCase} from '../reference/reference-cluster.js'
import {type Detail, differenceIn, type Modules} from './difference.js'
import {again, first, type Given, large, serve} from './serve-tiers.js'

interface Mutant extends Fault {
  /** Faults of the skip-ahead show only where steps are skipped. */
  readonly seen?: Detail
  /** About where the first case is that shows it, where that is rare. */
  readonly near?: number
}

const handOffs = 'cluster/hand-offs.js'
const group = 'cluster/dp-group.js'
const replica = 'cluster/replica.js'
const cluster = 'cluster/cluster.js'
const admission = 'engine/admission.js'
const engine = 'engine/engine.js'

const shared: Readonly<Record<string, Mutant>> = {
  'a request is expected for ever': {
    file: handOffs,
    from: 'replica.expected--;',
    to: '',
  },
  'a request whose prompt is running is not expected where it decodes': {
    file: handOffs,
    from: 'replicas[legs.decode].expected++;',
    to: '',
  },
  'a prompt that lost its KV counts as kept': {
    file: handOffs,
    from: 'requests.keeps[prompt] === 1',
    to: 'true',
  },
  'all of a prompt is sent, whatever its decode engine has': {
    file: handOffs,
    from: '(requests.input[client] - known)',
    to: 'requests.input[client]',
  },
  'blocks stay where the prompt ran': {
    file: handOffs,
    from: 'replica.engine.exchange.release(handOff.prompt);',
    to: '',
  },
  'blocks that come back wake nobody': {
    file: handOffs,
    from: 'replica.engine.exchange.release(handOff.prompt);\n        replica.wake(now);',
    to: 'replica.engine.exchange.release(handOff.prompt);',
  },
  'KV that has arrived wakes nobody': {
    file: handOffs,
    from: 'replicas[decode].wake(now);',
    to: '',
  },
  'a client that leaves while its prompt runs is still expected': {
    file: handOffs,
    from: 'this.#parts.replicas[decode].expected--;',
    to: '',
  },
  'a client that leaves lets its prompt run on': {
    file: handOffs,
    from: 'this.#parts.replicas[prefill].cancel(prompt, now);',
    to: '',
  },
  'what the prompt found in the cache is forgotten': {
    file: handOffs,
    from: 'requests.cached[client] = requests.cached[prompt];',
    to: '',
  },
  'when the prompt was scheduled is forgotten': {
    file: handOffs,
    from: 'requests.scheduledAt[client] = requests.scheduledAt[prompt];',
    to: '',
  },
  'preemptions of the prompt are forgotten': {
    file: handOffs,
    from: 'requests.preemptions[client] = requests.preemptions[prompt];',
    to: '',
  },
  'a prompt that can never be decoded is run': {
    file: cluster,
    from: 'this.replicas[legs.decode].engine.refusal(this.requests.total[slot])',
    to: 'undefined',
  },
  'short prompts stay by their length, not by what is not cached': {
    file: cluster,
    from: 'request.inputTokens - this.replicas[decode].cachedTokens(request.row, request.inputTokens)',
    to: 'request.inputTokens',
  },
  'requests that are there with their KV queue behind those without': {
    file: 'engine/kv-exchange.js',
    from: 'takePlace(slot, Number.NEGATIVE_INFINITY,',
    to: 'takePlace(slot, Number.MAX_SAFE_INTEGER,',
  },
  'a pulled prompt computes two tokens': {
    file: admission,
    from: 'seats.admit(slot, reached - 1);\n        requests.picked[slot] = 1;',
    to: 'seats.admit(slot, reached - 2);\n        requests.picked[slot] = 2;',
  },
  'blocks of a prompt are taken though the cache has them': {
    file: admission,
    from: 'const taken = blocks.needed(match.tokens, reached);\n            blocks.adopt(slot, match);\n            pool.take(taken);\n            requests.state',
    to: 'const taken = blocks.needed(0, reached);\n            blocks.adopt(slot, match);\n            pool.take(taken);\n            requests.state',
  },
}

const tied: Readonly<Record<string, Mutant>> = {
  'ranks do not pad': {file: group, from: 'shape.paddedTokens = padded;', to: ''},
  'the last rank decides when a stage is done': {
    file: group,
    from: 'Math.max(ns, timeOf(times)(shapes[rank]))',
    to: 'timeOf(times)(shapes[rank])',
  },
  'a rank without work takes no part in the pass': {
    file: group,
    from: 'Math.max(ns, timeOf(times)(shapes[rank]))',
    to: '(pending[rank] ? Math.max(ns, timeOf(times)(shapes[rank])) : ns)',
  },
  'a rank without work computes nothing': {
    file: group,
    from: '{ ...dummy }',
    to: '{ ...dummy, tokens: 0, sequences: 0, decodes: 0, decodeContext: 0 }',
  },
  'a pass starts in a stage that is busy': {
    file: group,
    from: 'if (now < this.#freeAt[0])',
    to: 'if (false)',
  },
  'a pass enters a later stage that is busy': {
    file: group,
    from: 'Math.max(end + longest(({ hop }) => hop), this.#freeAt[stage])',
    to: 'end + longest(({ hop }) => hop)',
  },
  'a hop costs nothing': {
    file: group,
    from: 'end + longest(({ hop }) => hop)',
    to: 'end',
  },
  'a rank without work keeps all of its places': {
    file: replica,
    from: 'engine.config.depth - this.#dummyEnds.length',
    to: 'engine.config.depth',
  },
  'a rank without work does not look for any as the pass ends': {
    file: replica,
    from: 'hasEnded || this.#dummyEnds[0] <= now',
    to: 'hasEnded',
  },
  'the batch planned last goes first': {
    file: engine,
    from: 'if (pipeline.at(place).end === Number.POSITIVE_INFINITY)\n                return pipeline.at(place);',
    to: 'if (pipeline.newest.end === Number.POSITIVE_INFINITY)\n                return pipeline.newest;',
  },
  'ranks skip steps on their own': {
    file: replica,
    from: "this.#passes === 'together' || this.#polled",
    to: 'this.#polled',
    seen: 'skipping',
  },
}

const loop: Readonly<Record<string, Mutant>> = {
  'skipping goes past what others do': {
    file: cluster,
    from: 'this.#skipAlone(alone, Math.min(until, others - 1))',
    to: 'this.#skipAlone(alone, Math.min(until, others + 9))',
    seen: 'skipping',
  },
  'KV sets out an instant late': {
    file: cluster,
    from: 'this.replicas[instance].plan(now);\n            this.#handOffs?.pull(instance);',
    to: 'this.#handOffs?.pull(instance);\n            this.replicas[instance].plan(now);',
  },
}

const tiersOf = 'tiers/engine-tiers.js'

const tiers: Readonly<Record<string, Mutant>> = {
  'a block is there before it is written': {
    file: tiersOf,
    from: 'const blocks = writer.take();',
    to: 'const blocks = writer.take(); if (blocks > 0) this.#enter(tier, writer.underWay);',
  },
  'loaded blocks leave nothing in the tiers they pass': {
    file: tiersOf,
    from: 'found.passing[nearer].push(id, low, end);',
    to: ';',
  },
  'what a tier loses is lost': {
    file: tiersOf,
    from: 'next.offer(gone);',
    to: ';',
  },
  'what is written goes no further': {
    file: tiersOf,
    from: 'next.offer(list);',
    to: ';',
  },
  'use keeps nothing young': {
    file: tiersOf,
    from: 'pool.renew(list);',
    to: ';',
  },
  'blocks that were entered anew are written as lost': {
    file: tiersOf,
    from: 'if (isThere)',
    to: 'if (false)',
  },
  'a cancelled load goes on': {
    file: tiersOf,
    from: 'this.#parts.traffic.cancel(transfer, now);',
    to: ';',
  },
  'own blocks are not kept for those who come back': {
    file: 'engine/request-blocks.js',
    from: 'this.#below.gaveBack(slot, { from: this.#requests.shareable[slot], to });',
    to: '',
  },
  'a prompt that lies there whole has nothing to compute': {
    file: 'engine/request-blocks.js',
    from: 'const full = Math.floor((this.#requests.reached[slot] - 1) / this.#rules.blockSize);',
    to: 'const full = Math.floor(this.#requests.reached[slot] / this.#rules.blockSize);',
  },
  'a load takes blocks for what it loads only': {
    file: admission,
    from: 'requests.spare[slot] = blocks.needed(to * blockSize, reached);',
    to: 'requests.spare[slot] = 0;',
  },
  'a loaded request queues by its arrival': {
    file: 'engine/kv-exchange.js',
    from: 'takePlace(slot, Number.NEGATIVE_INFINITY,',
    to: 'takePlace(slot, Number.MAX_SAFE_INTEGER,',
  },
  'blocks of a client that leaves wake nobody below whom there are tiers': {
    file: cluster,
    from: 'if (this.#handOffs || this.replicas[instance].tiers)',
    to: 'if (this.#handOffs)',
    near: 450,
  },
  'engines with one tier advance each for itself': {
    file: cluster,
    from: 'isCoupled || this.#handOffs !== undefined || this.#tiers.isShared',
    to: 'isCoupled || this.#handOffs !== undefined',
    near: 370,
  },
  'nobody wakes for a load': {
    file: replica,
    from: 'if (loaded.length > 0)',
    to: 'if (false)',
  },
  'steps are skipped past a load': {
    file: replica,
    from: 'at = Math.min(at, this.tiers.nextLoadAt);',
    to: ';',
    seen: 'skipping',
  },
  'writers wait for the next plan': {
    file: 'tiers/tier-traffic.js',
    from: 'this.#offeredAt = now;',
    to: '',
  },
  'a writer takes no account of those that wait': {
    file: 'tiers/tier-writer.js',
    from: 'const taken = Math.min(size, most - this.#blocks);',
    to: 'const taken = size;',
  },
}

const links = 'cluster/kv-links.js'

const wired: Readonly<Record<string, Mutant>> = {
  'loads do not feel KV of other engines': {
    file: links,
    from: 'this.#mayBeFull(receiver, toDeviceGbPerS)',
    to: 'false',
  },
  'writes do not feel KV for other engines': {
    file: links,
    from: 'this.#mayBeFull(sender, sender.hostGbPerS)',
    to: 'false',
  },
  'weights take nothing from loads': {
    file: links,
    from: '`, toDeviceGbPerS)',
    to: '`, hostGbPerS)',
  },
  'every port is behind a host link': {
    file: links,
    from: 'port !== undefined &&',
    to: '',
  },
  'steps are as fast while KV comes': {
    file: 'cluster/loading-times.js',
    from: 'isLoading()',
    to: 'false',
  },
  'what is pulled while steps are skipped sets out later': {
    file: cluster,
    from: '// Skipping stops where somebody is admitted, so what was pulled then sets out then.\n        this.#handOffs?.pull(instance);',
    to: '',
    seen: 'skipping',
    near: 580,
  },
  'an engine does not see that its load ends later for those of others': {
    file: cluster,
    from: '// What one of them loads changes when the loads of others end.\n        if (this.#tiers.isShared)\n            this.#lookAtAll();',
    to: '',
    near: 550,
  },
  'KV of other engines slows no step': {
    file: handOffs,
    from: 'this.#coming[instance]++;',
    to: '',
  },
  'KV of other engines slows steps for ever': {
    file: handOffs,
    from: 'this.#coming[handOff.decode]--;',
    to: ';',
  },
}

interface Scene extends Fault {
  /** Made for each run: routers count. */
  readonly given: () => Given
}

const readsTiers = 'if (this.#readsTiers)'
const weighing = (weights: ScoreWeights) => routers.weighted!({...plainSeams, weights})

/** Guards that no random case asks for, as the reference has no such router: each in its scene of kv-tiers.test.ts. */
const scenes: Readonly<Record<string, Scene>> = {
  'tiers are worked off ahead of a lone engine': {
    file: cluster,
    from: 'if (this.takesAhead) {',
    to: 'if (this.takesAhead) { if (this.#readsTiers) this.#tiers.advance(now - 1);',
    given: () => ({
      rows: [first, {...large, leaves: 209}, again, {at: 210, input: 4}, {at: 224, input: 4}],
      router: weighing({...defaultWeights, tiers: 1}),
      delayNs: 7,
    }),
  },
  'a router sees tiers as they were at the last event': {
    file: cluster,
    from: readsTiers,
    to: 'if (false)',
    given: () => ({
      // The large ones take both devices at 100 and 101; what one of them lost is written by 106 or 107, in the middle of
      // their steps, and the last one asks for it at 108.
      rows: [first, {...large}, {...large, at: 101}, {...first, at: 108}, {...first, at: 109}],
      tiers: [{write: 'on eviction'}],
      instances: 2,
      router: weighing({prefix: 0, tiers: 1, queue: 0, kv: 0}),
    }),
  },
}

/** No case of the comparison needs as many: a fault may make a cluster go on for ever. */
const stepLimit = 50_000

const bounded = (given: ReferenceClusterCase): ReferenceClusterCase => {
  let steps = 0
  const counted =
    (time: StepTime): StepTime =>
    (shape) => {
      if (++steps > stepLimit) throw new Error('the run does not end')
      return time(shape)
    }
  const members = given.members.map((member) => ({
    ...member,
    stepTime: counted(member.stepTime),
    ...(member.whileLoading && {
      whileLoading: {
        ...member.whileLoading,
        stepTime: counted(member.whileLoading.stepTime),
      },
    }),
    ...(member.pipeline && {
      pipeline: {...member.pipeline, stages: member.pipeline.stages.map(counted)},
    }),
  }))
  return {...given, members}
}

const tell = (spec: ClusterSpec, detail: Detail, modules?: Modules): string | undefined => {
  try {
    return differenceIn(bounded(buildCluster(spec)), detail, modules)
  } catch (error) {
    return `the cluster threw ${error}`
  }
}

const told = ({outcomes}: Replay): string =>
  JSON.stringify([outcomes.instance, outcomes.cachedTokens, outcomes.firstTokenAt].map(String))

const topologies: Readonly<Record<string, readonly ClusterSpec['topology'][]>> = {
  'prefill and decode': ['prefill and decode'],
  'ranks that run together': ['ranks', 'ranks and others'],
  'the event loop': ['prefill and decode', 'alike'],
  'memory tiers': ['alike', 'prefill and decode', 'ranks', 'ranks and others'],
  'links that all share': ['prefill and decode'],
}

const most = 2000
/** Made once: each fault takes the first case that shows it. */
let cases: readonly ClusterSpec[] = []
let tiered: readonly ClusterSpec[] = []
let linked: readonly ClusterSpec[] = []

describe('a cluster with a fault differs from the reference', function () {
  this.timeout(120_000)
  before(() => {
    clearMutants()
    cases = fc.sample(clusterSpecs, {numRuns: most, seed: 1})
    tiered = fc.sample(tieredClusterSpecs, {numRuns: most, seed: 1})
    linked = fc.sample(wiredClusterSpecs, {numRuns: most, seed: 1})
  })
  after(clearMutants)

  for (const [title, mutants] of [
    ['prefill and decode', shared],
    ['ranks that run together', tied],
    ['the event loop', loop],
    ['memory tiers', tiers],
    ['links that all share', wired],
  ] as const) {
    const kinds = topologies[title]!
    for (const [name, {seen = 'every step', near = 0, ...fault}] of Object.entries(mutants))
      it(`${title}: ${name}`, async () => {
        const modules = await mutate(name, fault)
        const all = mutants === wired ? linked : mutants === tiers ? tiered : cases
        const shown = [...all.slice(near), ...all.slice(0, near)].find(
          (spec) => kinds.includes(spec.topology) && tell(spec, seen, modules) !== undefined,
        )
        expect(shown).not.equal(undefined)
      })
  }

  for (const [name, {given, ...fault}] of Object.entries(scenes))
    it(`in a scene: ${name}`, async () => {
      const {replay} = await mutate(name, fault)
      expect(told(serve(given(), replay))).not.equal(told(serve(given())))
    })

  it('and one without does not', async () => {
    const modules = await mutate('none')
    for (const {given} of Object.values(scenes))
      expect(told(serve(given(), modules.replay))).equal(told(serve(given())))
    for (const spec of [...cases, ...tiered, ...linked].filter((_, i) => i % most < 60))
      for (const detail of ['every step', 'skipping'] as const)
        expect(tell(spec, detail, modules)).equal(undefined)
  })
})
