/** What is modelled for engines that stand alone only, and refused where they depend on each other. */
import {Problem} from '../errors.js'
import type {RunRequest} from './run-request.js'

/** What matters of the place of an engine. */
export interface Place {
  readonly instance: {readonly role?: 'prefill' | 'decode' | undefined}
  readonly group?: number | undefined
}

/** @throws Problem FLAG_CONFLICT for adapters or scaling of engines that share prompts or passes */
export function checkIndependent(request: RunRequest, places: readonly Place[]): void {
  const {lora, autoscale} = request
  const asked = {
    '--max-loras': lora,
    '--autoscale': autoscale,
  }
  const flag = Object.entries(asked).find(([, given]) => given !== undefined)?.[0]
  if (flag === undefined) return
  const reason = places.some(({instance}) => instance.role !== undefined)
    ? 'prefill and decode on different engines'
    : places.some(({group}) => group !== undefined)
      ? 'data-parallel ranks whose passes are tied'
      : undefined
  if (reason === undefined) return
  throw new Problem('FLAG_CONFLICT', `${flag} and ${reason}: that is not modelled together.`, {
    suggestions: [`Leave ${flag} out.`, 'Use independent engines (--instances).'],
  })
}
