export {Problem, problemCodes} from './errors.js'
