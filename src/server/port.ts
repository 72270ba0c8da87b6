/** Opens the port: engine, clock, recorder and routes put together, and taken apart again in order. */
import {randomBytes} from 'node:crypto'
import {networkInterfaces} from 'node:os'
import type {FastifyInstance} from 'fastify'
import {Problem} from '../errors.js'
import {idToHex} from '../trace/block-ids.js'
import type {KeptText} from '../trace/recording.js'
import {type Answering, type AnsweringOptions, buildAnswering} from './answering.js'
import {type AppOptions, appDefaults, createApp} from './app.js'
import type {Backend} from './backend.js'
import {planEmbedding} from './embedding-plan.js'
import {FairQueue} from './fair-queue.js'
import type {Faults} from './faults.js'
import {addGeneration, type GenerationParts, type MakePlan} from './generation-route.js'
import {StreamFlusher} from './http-sink.js'
import {InstantBackend} from './instant-backend.js'
import {LiveEngine, type LiveEngineParts, type TokenGaps} from './live-engine.js'
import {addMetrics} from './metrics-route.js'
import {WallClock} from './model-clock.js'
import {addPage} from './page-route.js'
import {ProxyBackend} from './proxy/proxy-backend.js'
import {addProxy} from './proxy/proxy-routes.js'
import {Upstream} from './proxy/upstream.js'
import {Recorder} from './recorder.js'
import {type GenerationPath, IgnoredFields} from './requests/ignored-fields.js'
import {addModels, addStatus} from './service-routes.js'
import {Serving} from './serving.js'
import {addTokenizer} from './tokenizer-routes.js'

export interface PortOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly simulation: LiveEngineParts['simulation']
  /** As the modelled hardware would answer, or at once. */
  readonly respond: 'modelled' | 'instant'
  /** The model's clock runs so many times as fast as ours. */
  readonly speed: number
  /** A real server that answers in place of the model; requests to it are measured. */
  readonly upstream?: URL | undefined
  readonly answering: AnsweringOptions
  readonly trace: {
    readonly path: string
    readonly kept: KeptText
    readonly rotate?: {readonly bytes?: number | undefined; readonly ms?: number | undefined}
    /** What the trace's meta file is to say besides. */
    readonly meta: {readonly [field: string]: unknown}
  }
  readonly apiKey?: string | undefined
  readonly maxQueue: number
  /** ms from now during which the model is being loaded. */
  readonly warmupMs: number
  readonly faults?: Faults | undefined
  readonly version: string
  /** What /status says of the configuration. */
  readonly about: {readonly [field: string]: unknown}
  readonly limits?: Partial<Omit<AppOptions, 'apiKey' | 'intake' | 'onBug' | 'onRefused'>>
  /** One sentence for whoever watches the server. */
  readonly onLog: (line: string) => void
}

export interface Port {
  /** `http://127.0.0.1:8000`. */
  readonly url: string
  readonly serving: Serving
  readonly answering: Answering
  readonly app: FastifyInstance
  /** Files of the trace. */
  readonly files: readonly string[]
  /** Takes no more requests and resolves when all have been answered. */
  drain(): Promise<void>
  /** Cuts off who is still there, and closes everything. */
  close(): Promise<void>
}

/** @throws Problem for an address that cannot be listened on, a trace that cannot be written, bad answers */
export async function openPort(options: PortOptions): Promise<Port> {
  // Node would listen on every address.
  if (options.host.trim() === '') throw notListening('""', options.port, new EmptyHost())
  const answering = await buildAnswering(options.answering)
  const salt = newSalt()
  const recorder = new Recorder({
    path: options.trace.path,
    kept: options.trace.kept,
    ...(options.trace.rotate ? {rotate: options.trace.rotate} : {}),
    meta: {
      salt: idToHex(salt),
      started_at: new Date().toISOString(),
      tokenizer: answering.tokenizerName,
      ...options.trace.meta,
    },
    onTrouble: options.onLog,
  })
  const queue = new FairQueue()
  const proxy = options.upstream === undefined ? undefined : proxyTo(options.upstream)
  const onGaps = (gaps: TokenGaps) => {
    for (const observer of serving.observers) observer.gaps?.(gaps)
  }
  const serving = new Serving({
    backend: proxy?.backend ?? backendOf(options, queue, onGaps),
    recorder,
    salt,
    keepsText: options.trace.kept === 'texts',
    maxWaiting: options.maxQueue,
    readyAt: performance.now() + options.warmupMs,
    faults: options.faults,
  })
  const onBug = (error: Error) => options.onLog(`bug: ${error.stack ?? error.message}`)
  const intake = {queue, now: () => serving.backend.now()}
  const onRefused = (status: number) => serving.turnAway(String(status))
  const own = {apiKey: options.apiKey, intake, onBug, onRefused}
  const app = createApp({...own, ...appDefaults, ...options.limits})
  const parts = {serving, flusher: new StreamFlusher(), queue, onBug}
  if (proxy === undefined) addRoutes(app, {options, answering, parts})
  else addProxy(app, {...proxy, serving, answering})
  addLooks(app, {options, answering, parts})
  const url = await listenOn(app, options, recorder)
  let closing: Promise<void> | undefined
  return {
    url,
    serving,
    answering,
    app,
    files: recorder.files,
    // Those that are not taken up yet are told so before connections are closed.
    drain: () => serving.drain().then(() => queue.passed()),
    close: () => {
      closing ??= closePort(app, serving, answering)
      return closing
    },
  }
}

/** 53 random bits. */
function newSalt(): number {
  const bytes = randomBytes(8)
  return (bytes.readUInt32LE(0) % 2 ** 21) * 2 ** 32 + bytes.readUInt32LE(4)
}

/**
 * What this port itself takes of a request's time, both ways together: the median on loopback (docs/listen.md). The
 * front end of the model has it already: that was measured by clients.
 */
const ownWayMs = 1.5

function backendOf(
  options: PortOptions,
  queue: FairQueue,
  onGaps: (gaps: TokenGaps) => void,
): Backend {
  const clock = new WallClock(options.speed)
  if (options.respond === 'instant') return new InstantBackend(clock, queue)
  const leadNs = Math.round(ownWayMs * 1e6 * options.speed)
  return new LiveEngine({simulation: options.simulation, clock, leadNs, onGaps})
}

const proxyTo = (url: URL) => ({
  upstream: new Upstream(url),
  backend: new ProxyBackend(new WallClock()),
})

interface RouteParts {
  readonly options: PortOptions
  readonly answering: Answering
  readonly parts: GenerationParts
}

function addRoutes(app: FastifyInstance, {options, answering, parts}: RouteParts): void {
  const ignored = new IgnoredFields(options.onLog)
  const add = (path: GenerationPath, makePlan: MakePlan) =>
    addGeneration(app, path, (body) => makePlan(ignored.watch(path, body)), parts)
  add('/v1/chat/completions', (body) => answering.chat(body))
  add('/v1/completions', (body) => answering.completion(body))
  add('/v1/responses', (body) => answering.response(body))
  add('/v1/embeddings', (body) => planEmbedding(answering, body))
  addTokenizer(app, answering)
  const {about, version} = options
  const {serving} = parts
  const modelName = answering.models.names[0]!
  addMetrics(app, {serving, modelName, maxModelLen: answering.maxModelLen})
  addModels(app, {serving, answering, about, version})
}

/** For whoever watches the port, whatever stands behind it. */
function addLooks(app: FastifyInstance, {options, answering, parts}: RouteParts): void {
  const {about, version} = options
  const {serving} = parts
  addPage(app, {serving, about, modelName: answering.models.names[0]!})
  addStatus(app, {serving, answering, about, version})
}

async function listenOn(
  app: FastifyInstance,
  {host, port}: PortOptions,
  recorder: Recorder,
): Promise<string> {
  try {
    await app.listen({host, port})
  } catch (cause) {
    recorder.discard()
    throw notListening(host, port, cause)
  }
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP address')
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  const isAny = shown === '0.0.0.0' || shown === '[::]'
  return `http://${isAny ? '127.0.0.1' : shown}:${address.port}`
}

/** As the system says it of others. */
class EmptyHost extends Error {
  readonly code = 'EINVAL'
}

function notListening(host: string, port: number, cause: unknown): Problem {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another program listens there',
    EACCES: 'ports below 1024 need more rights',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'nothing knows such a host',
    EINVAL: 'this is no address to listen on',
  }
  const isOfHost = ['EADDRNOTAVAIL', 'ENOTFOUND', 'EINVAL', 'EAI_AGAIN'].includes(code)
  return new Problem(
    'PORT_UNAVAILABLE',
    `--host ${host} --port ${port}: cannot listen: ${reasons[code] ?? code}.`,
    {suggestions: isOfHost ? ownAddresses() : otherPorts(port), cause},
  )
}

const otherPorts = (port: number): string[] => [
  '--port 0, which takes any that is free',
  `--port ${port < 65_535 ? port + 1 : 8000}`,
]

/** Addresses that this machine does have. */
const ownAddresses = (): string[] => [
  '--host 127.0.0.1, for clients on this machine',
  '--host 0.0.0.0, for all',
  ...Object.values(networkInterfaces())
    .flatMap((own) => own ?? [])
    .filter(({internal, family}) => !internal && family === 'IPv4')
    .slice(0, 3)
    .map(({address}) => `--host ${address}`),
]

async function closePort(
  app: FastifyInstance,
  serving: Serving,
  answering: Answering,
): Promise<void> {
  const left = serving.drain()
  app.server.closeAllConnections()
  await app.close()
  // Whoever was cut off is recorded as cancelled when its connection reports its end.
  await left
  serving.recorder.close()
  await answering.close()
}
