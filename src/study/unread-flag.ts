/** A flag beside a cluster file that leaves it nothing to say. */
import {Problem} from '../errors.js'

/** A flag that the file overrules for every instance. */
export const unreadFlag = (flag: string, path: string): Problem =>
  new Problem(
    'FLAG_CONFLICT',
    `${flag} and --cluster: the cluster file says it for every instance, so nothing would read the flag.`,
    {suggestions: [`Leave ${flag} out, or change ${path}.`]},
  )
