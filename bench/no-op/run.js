// What any command line on oclif costs: the measure of our own start-up.
import {run, settings} from '@oclif/core'

settings.enableAutoTranspile = false
await run(process.argv.slice(2), {root: import.meta.dirname})
