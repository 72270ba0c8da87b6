/** `llmsim listen` as users run it, and clients that measure what they get. */
import {type ChildProcess, spawn} from 'node:child_process'
import {mkdtempSync} from 'node:fs'
import {Agent, request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {root} from './cli.js'

export interface ListenProcess {
  readonly url: string
  readonly pid: number
  /** The trace that it records. */
  readonly trace: string
  stdout(): string
  stderr(): string
  kill(signal: NodeJS.Signals): void
  /** Resolves when the process has ended. */
  readonly ended: Promise<{readonly code: number | null; readonly signal: NodeJS.Signals | null}>
}

const running = new Set<ChildProcess>()

/** Ends what a failed test left running: it would keep the process of the tests. */
export function endListening(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** Starts the real program on a free port and waits until it listens. */
export const startListen = (...flags: string[]): Promise<ListenProcess> =>
  startListenWith([], ...flags)

/** The same, started by another program. */
export async function startListenWith(
  starter: readonly string[],
  ...flags: string[]
): Promise<ListenProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-listen-'))
  const trace = join(folder, 'trace.csv')
  const argv = [`${root}bin/run.js`, 'listen', '--port', '0', '--trace', trace, ...flags]
  const env = {...process.env, NODE_OPTIONS: '', NO_COLOR: '1'}
  const [program, ...rest] = [...starter, process.execPath, ...argv] as [string, ...string[]]
  const child: ChildProcess = spawn(program, rest, {cwd: folder, env})
  running.add(child)
  let stdout = ''
  let stderr = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<{code: number | null; signal: NodeJS.Signals | null}>((resolve) => {
    child.on('close', (code, signal) => {
      running.delete(child)
      resolve({code, signal})
    })
  })
  const url = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const found = /listening on (http:\S+);/.exec(stdout)
      if (found) resolve(found[1]!)
    }
    child.stdout!.on('data', look)
    void ended.then(({code}) => reject(new Error(`listen ended with ${code}: ${stderr}`)))
  })
  return {
    url,
    pid: child.pid!,
    trace,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => child.kill(signal),
    ended,
  }
}

export const listenModel = 'meta-llama/Llama-3.1-8B-Instruct'

export interface Call {
  readonly url: string
  readonly path?: string
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: Agent
  /** Hang up so many ms after sending. */
  readonly leaveAfterMs?: number
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** performance.now() when it was sent, at each event of a stream, at the end. */
  readonly sentAt: number
  readonly eventsAt: readonly number[]
  readonly endedAt: number
  readonly end: 'whole' | 'left' | 'broken'
}

export const manyConnections = (): Agent => new Agent({keepAlive: true, maxSockets: 4096})

/** Posts a body and notes when what came. Never rejects. */
export const post = (call: Call): Promise<Answer> =>
  new Promise((resolve) => {
    const body = typeof call.body === 'string' ? call.body : JSON.stringify(call.body)
    let text = ''
    let status = 0
    let headers: Answer['headers'] = {}
    let left = false
    const eventsAt: number[] = []
    const sentAt = performance.now()
    const settle = (end: Answer['end']) =>
      resolve({
        status,
        headers,
        text,
        sentAt,
        eventsAt,
        endedAt: performance.now(),
        end: left ? 'left' : end,
      })
    const sent = request(
      new URL(call.path ?? '/v1/chat/completions', call.url),
      {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...call.headers,
        },
        ...(call.agent ? {agent: call.agent} : {}),
      },
      (response) => {
        status = response.statusCode!
        headers = response.headers
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
          for (let at = piece.indexOf('\n\n'); at >= 0; at = piece.indexOf('\n\n', at + 2))
            eventsAt.push(performance.now())
        })
        response.on('end', () => settle('whole'))
        response.on('error', () => settle('broken'))
        response.on('aborted', () => settle('broken'))
      },
    )
    sent.on('error', () => settle('broken'))
    sent.end(body)
    if (call.leaveAfterMs !== undefined)
      setTimeout(() => {
        left = true
        sent.destroy()
      }, call.leaveAfterMs)
  })
