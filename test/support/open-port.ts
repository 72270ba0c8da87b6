/** A port in this process, whose insides a test can look at. */
import {mkdtempSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {routers} from '#llmsim/cluster/router.js'
import {openPort, type Port, type PortOptions} from '#llmsim/server/port.js'
import {deploy} from '#llmsim/study/deployment.js'
import {listenModel} from './listening.js'
import {runRequest} from './run-request.js'

const open = new Set<Port>()

/** Closes what is still open: a port that a failed test left behind would keep the process. */
export async function closeTestPorts(): Promise<void> {
  const ports = [...open]
  open.clear()
  for (const port of ports) await port.close()
}

/** An H100 behind a free port; `given` changes what a test is about. */
export async function openTestPort(
  given: Partial<PortOptions> = {},
  answering: Partial<PortOptions['answering']> = {},
): Promise<Port & {readonly logged: string[]}> {
  const {replicas} = await deploy(runRequest({hardware: 'H100'}))
  const logged: string[] = []
  const port = await openPort({
    host: '127.0.0.1',
    port: 0,
    simulation: () => ({replicas, router: routers['least-requests']!()}),
    respond: 'modelled',
    speed: 1,
    answering: {
      answer: 'filler',
      outputTokens: '20',
      served: {names: [listenModel], others: 'refused'},
      modelName: listenModel,
      maxModelLen: 8192,
      seed: 0,
      ...answering,
    },
    trace: {
      path: join(mkdtempSync(join(tmpdir(), 'llmsim-port-')), 'trace.csv'),
      kept: 'no texts',
      meta: {},
    },
    maxQueue: 1000,
    warmupMs: 0,
    version: '0.0.0',
    about: {},
    onLog: (line) => logged.push(line),
    ...given,
  })
  open.add(port)
  return {...port, logged}
}
