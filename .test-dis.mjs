import {firstDisagreement} from './.test/engine/against-reference.js'
import {runFast} from './.test/engine/fast-engine.js'
console.log(firstDisagreement(runFast('every step'),{runs:4000,seed:+process.argv[2]}))
