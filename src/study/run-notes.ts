/** What a person should know about a trace on a deployment before believing its figures. */
import type {Guide, TraceFacts} from '../trace/parts.js'
import type {Deployment} from './deployment.js'

/** What is worth a word about a trace on a deployment, one sentence each. */
export const notesOf = (trace: TraceFacts, deployment: Deployment): string[] => [
  ...trace.notes,
  ...deployment.notes,
  ...ignoredAdapters(trace, deployment),
  ...servedModels(trace, deployment),
  ...missingGuides(trace, deployment),
]

function ignoredAdapters({hasAdapters}: TraceFacts, {request: {lora}}: Deployment): string[] {
  if (hasAdapters && lora === undefined)
    return ['the trace names LoRA adapters; without --max-loras they are ignored.']
  if (!hasAdapters && lora !== undefined && lora.adapters === undefined)
    return [
      'no request names a LoRA adapter, so --max-loras takes memory and nothing else; --adapters N draws one of N for each.',
    ]
  return []
}

/** What goes by a column that the trace does not have. */
export function missingGuides(
  {guides}: TraceFacts,
  {policy, traffic, engines}: Deployment,
): string[] {
  const needs: Readonly<Record<string, readonly [guide: Guide, instead: string]>> = {
    'prefix-affinity': ['prefix', 'does not say which prefixes are shared'],
    'prefix-cache': ['prefix', 'does not say which prefixes are shared'],
    'session-sticky': ['session', 'has no sessions'],
  }
  const decodes = engines.some(({instance}) => instance.role === 'decode')
  const routers = [
    ...(engines.length > 1 ? [traffic.router] : []),
    ...(decodes ? [traffic.decodeRouter] : []),
  ]
  const byRouter = [...new Set(routers)].flatMap((name) => {
    const [guide, lack] = needs[name] ?? []
    if (guide === undefined || guides.includes(guide)) return []
    return [`router ${name}: the trace ${lack}, so it goes by load alone.`]
  })
  const isBlind = policy.name === 'priority' && !guides.includes('priority')
  return isBlind
    ? ['policy priority: the trace has no column priority, so all requests are alike.', ...byRouter]
    : byRouter
}

/** Routers do not look at the model that a request asks for. */
export function servedModels({models}: TraceFacts, {engines}: Deployment): string[] {
  const served = new Map(engines.map(({instance}) => [instance.model.id, instance.found.ids]))
  const names = [...served.keys()]
  if (names.length > 1)
    return [
      `instances serve ${listed(names)}, and routers send any request to any of them, whatever the column model says.`,
    ]
  const known = new Set([...served.values()].flat().concat(names).map(plainName))
  const others = models.filter((name) => !known.has(plainName(name)))
  if (others.length === 0) return []
  const them = others.length === 1 ? 'it' : 'them'
  return [
    `the trace asks for ${listed(others)}, and ${names[0]} serves ${them}; --model names another.`,
  ]
}

/** Without organisation and case, as --model takes names. */
const plainName = (name: string): string => name.toLowerCase().replace(/^.*\//, '')

/** At most three by name. */
function listed(names: readonly string[]): string {
  const more = names.length - 3
  const shown = more > 0 ? [...names.slice(0, 3), `${more} more`] : names
  return [shown.slice(0, -1).join(', '), shown.at(-1)].filter(Boolean).join(' and ')
}
