/** Several who listen to one engine. */
import type {EngineListener} from '../engine/engine-config.js'

const calls = [
  'chunkPlanned',
  'tokensFrom',
  'tokensUntil',
  'tokensAt',
  'forgotten',
  'batchEnded',
] as const satisfies readonly (keyof EngineListener)[]

/** Each of them hears everything, in this order. */
export function together(listeners: readonly EngineListener[]): EngineListener {
  const heard: {[call: string]: (...facts: never[]) => void} = {}
  for (const call of calls) {
    const those = listeners.filter((listener) => listener[call] !== undefined)
    if (those.length === 0) continue
    heard[call] = (...facts) => {
      for (const listener of those)
        (listener[call] as (...facts: never[]) => void).apply(listener, facts)
    }
  }
  return heard as EngineListener
}
