/** Which engine an arriving request goes to. A new router is one entry of `routers`. */
import type {EngineView} from '../engine/engine-config.js'

/** What a router may know of a request. */
export interface RequestView {
  readonly row: number
  readonly inputTokens: number
}

export interface Router {
  readonly name: string
  /** Index of the engine, 0 … engines.length − 1. */
  pick(request: RequestView, engines: readonly EngineView[]): number
}

/** Routers keep state (a rotating start), so each simulation makes its own. */
export const routers: Readonly<Record<string, () => Router>> = {
  /** LLMServingSim's LOAD, and the weights of vLLM's data-parallel balancer: a waiting request counts as four. */
  'least-requests': () => {
    let start = 0
    return {
      name: 'least-requests',
      pick(_request, engines) {
        let best = -1
        let least = Number.POSITIVE_INFINITY
        for (let offset = 0; offset < engines.length; offset++) {
          const at = (start + offset) % engines.length
          const {waiting, running, maxNumSeqs} = engines[at]!
          const load = (4 * waiting + running) / maxNumSeqs
          if (load >= least) continue
          least = load
          best = at
        }
        start = (best + 1) % engines.length
        return best
      },
    }
  },
  'round-robin': () => {
    let next = 0
    return {
      name: 'round-robin',
      pick(_request, engines) {
        const at = next % engines.length
        next = at + 1
        return at
      },
    }
  },
}
