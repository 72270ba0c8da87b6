/** What the parts of an engine share. */
import type {EngineConfig} from './engine-config.js'
import type {KvBelow} from './kv-below.js'
import type {Blocks, Pool} from './kv-cache.js'
import type {Pipeline} from './pipeline.js'
import type {RequestPool} from './request-pool.js'
import type {Seats} from './seats.js'
import type {Totals} from './totals.js'
import type {WaitingQueue} from './waiting-queue.js'

export interface EngineParts {
  readonly config: EngineConfig
  readonly requests: RequestPool
  readonly pool: Pool
  readonly blocks: Blocks
  readonly seats: Seats
  readonly queue: WaitingQueue
  readonly totals: Totals
  readonly pipeline: Pipeline
  /** Absent: nothing lies below the device. */
  readonly below: KvBelow | undefined
}
