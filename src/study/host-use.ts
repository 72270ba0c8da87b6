/** What of an engine's settings and clients decides how long its host takes. */
import type {HostUse} from '../latency/host.js'
import {seatsOf} from './engine-settings.js'
import type {Instance} from './instance.js'
import type {RunRequest} from './run-request.js'

/** A pipeline has batches enough in flight not to wait for the host. */
export const hostUseOf = (instance: Instance, {frontEnd}: RunRequest): HostUse => {
  const {settings, profile, pp} = instance
  return {
    isChat: frontEnd === 'chat',
    isSynchronous: pp === 1 && !(settings.asyncScheduling ?? profile.defaults.asyncScheduling),
    isEager: settings.enforceEager === true,
    maxNumSeqs: seatsOf(instance),
  }
}
