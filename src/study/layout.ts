/** `--npu --tp --pp --dp --ep --instances`: what was asked for, made whole. tp · pp · dp · instances = npu. */
import {Problem} from '../errors.js'

export interface LayoutRequest {
  readonly npu?: number | undefined
  readonly tp?: number | undefined
  readonly pp?: number | undefined
  readonly dp?: number | undefined
  readonly ep?: number | undefined
  readonly instances?: number | undefined
  /** Instances that only prefill, and only decode: together they are all. */
  readonly prefill?: number | undefined
  readonly decode?: number | undefined
}

export interface Layout {
  readonly npu: number
  readonly tp: number
  readonly pp: number
  readonly dp: number
  readonly ep: number
  /** Independent engines. */
  readonly instances: number
}

const axes = ['npu', 'tp', 'pp', 'dp', 'ep', 'instances', 'prefill', 'decode'] as const

/** Each takes about 240 kB before it has a request: a gigabyte in all. */
export const mostEngines = 4096

/**
 * With `npu` alone all devices form one tensor-parallel engine; otherwise what is not given follows: instances from
 * tp, tp from the other axes.
 * @throws Problem FLAG_BAD_VALUE, PARALLELISM_INVALID naming what would work
 */
export function resolveLayout(asked: LayoutRequest): Layout {
  for (const axis of axes) checkSize(axis, asked[axis])
  const request = withRoles(asked)
  const {pp = 1, dp = 1, ep = 1} = request
  const npu = request.npu ?? (request.tp ?? 1) * pp * dp * (request.instances ?? 1)
  const tp = request.tp ?? quotient(npu, {pp, dp, instances: request.instances ?? 1})
  const instances = request.instances ?? quotient(npu, {tp, pp, dp})
  if (tp * pp * dp * instances !== npu) {
    const product = `tp ${tp} · pp ${pp} · dp ${dp} · instances ${instances} = ${tp * pp * dp * instances}`
    throw new Problem('PARALLELISM_INVALID', `--npu ${npu}: ${product}, which is not ${npu}.`, {
      suggestions: [
        `--npu ${tp * pp * dp * instances}`,
        'Leave one of these flags out: it follows.',
      ],
    })
  }
  checkFleet(asked, {npu, tp, pp, dp, instances})
  return {npu, tp, pp, dp, ep, instances}
}

/** @throws Problem FLAG_BAD_VALUE naming the flag that asks for most, and how much it may ask for */
function checkFleet(asked: LayoutRequest, {dp, instances, ...layout}: Omit<Layout, 'ep'>): void {
  const engines = dp * instances
  if (engines <= mostEngines) return
  const {prefill = 0, decode = 0} = asked
  const most = {
    ...(prefill > decode ? {prefill: mostEngines - decode} : {decode: mostEngines - prefill}),
    instances: Math.floor(mostEngines / dp),
    npu: mostEngines * layout.tp * layout.pp,
    dp: Math.floor(mostEngines / instances),
  }
  const flags = Object.keys(most) as (keyof typeof most)[]
  const flag = flags
    .filter((name) => asked[name] !== undefined)
    .sort((a, b) => asked[b]! - asked[a]!)[0]!
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${flag} ${asked[flag]}: ${engines} engines, and a run holds at most ${mostEngines}.`,
    {
      suggestions: [
        `--${flag} ${Math.max(1, most[flag]!)}`,
        'Simulate a part of the engines with a part of the requests.',
      ],
    },
  )
}

/** `--prefill` and `--decode` say how many instances there are. */
function withRoles(request: LayoutRequest): LayoutRequest {
  const {prefill, decode, instances} = request
  if (prefill === undefined && decode === undefined) return request
  if (prefill === undefined || decode === undefined) {
    const [given, other] = prefill === undefined ? ['decode', 'prefill'] : ['prefill', 'decode']
    throw new Problem(
      'FLAG_CONFLICT',
      `--${given} needs --${other}: one without the other serves nobody.`,
      {
        suggestions: [`--${other} 1`],
      },
    )
  }
  if (instances !== undefined && instances !== prefill + decode) {
    const sum = `${prefill} + ${decode} = ${prefill + decode}`
    throw new Problem(
      'FLAG_CONFLICT',
      `--instances ${instances}: --prefill and --decode are ${sum}.`,
      {
        suggestions: ['Leave --instances out: it follows.'],
      },
    )
  }
  return {...request, instances: prefill + decode}
}

function checkSize(axis: string, size: number | undefined): void {
  if (size === undefined || (Number.isSafeInteger(size) && size >= 1)) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${axis} must be a whole number of at least 1, got ${size}.`,
  )
}

/** npu ÷ the product of the other axes; an error that says which npu would do. */
function quotient(npu: number, others: Readonly<Record<string, number>>): number {
  const entries = Object.entries(others).filter(([, size]) => size > 1)
  const product = entries.reduce((all, [, size]) => all * size, 1)
  if (npu % product === 0) return npu / product
  const factors = entries.map(([axis, size]) => `${axis} ${size}`).join(' · ')
  const named = entries.length > 1 ? `${factors} = ${product}` : factors
  const below = Math.floor(npu / product) * product
  throw new Problem('PARALLELISM_INVALID', `--npu ${npu} is not a multiple of ${named}.`, {
    suggestions: [...(below > 0 ? [`--npu ${below}`] : []), `--npu ${below + product}`],
  })
}
