/** Which engine profile and which way of sampling a request asks for. */
import type {Sampling} from '../catalogue/engine-profile.js'
import {defaultEngine, type FoundEngine, loadEngine} from '../catalogue/engines.js'
import type {FoundModel} from '../catalogue/models.js'
import type {RunRequest} from './run-request.js'

/** @throws Problem ENGINE_UNKNOWN, ENGINE_BAD_FILE */
export const engineChoice = async ({
  engineProfile = defaultEngine,
}: RunRequest): Promise<FoundEngine> =>
  typeof engineProfile === 'string'
    ? loadEngine(engineProfile)
    : {profile: engineProfile, notes: []}

export const samplingChoice = ({sampling = 'model'}: RunRequest, found: FoundModel): Sampling =>
  sampling === 'model' ? found.sampling : sampling
