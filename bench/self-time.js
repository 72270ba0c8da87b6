// Where time goes while a function runs: V8's sampling profiler, self time by function.
import {Session} from 'node:inspector/promises'

/** Runs `work` under the profiler and returns [share, "function file:line"] rows, largest first. */
export const selfTimes = async (work) => {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', {interval: 200})
  await session.post('Profiler.start')
  work()
  const {profile} = await session.post('Profiler.stop')
  session.disconnect()
  const byId = new Map(profile.nodes.map((node) => [node.id, node]))
  const byFunction = new Map()
  let total = 0
  for (const [i, id] of profile.samples.entries()) {
    const name = nameOf(byId.get(id).callFrame)
    byFunction.set(name, (byFunction.get(name) ?? 0) + profile.timeDeltas[i])
    total += profile.timeDeltas[i]
  }
  return [...byFunction].map(([name, time]) => [time / total, name]).sort((a, b) => b[0] - a[0])
}

const nameOf = ({functionName, url, lineNumber}) => {
  const file = url.split('/dist/')[1] ?? url.split('/').at(-1)
  return file ? `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}` : functionName
}
