// node bench/parse.js FILE: seconds of reading a trace and nothing else, in parts as simulate reads it; best of three.
import {readTraceParts} from '../dist/trace/read.js'

const path = process.argv[2]
const seconds = []
for (let i = 0; i < 3; i++) {
  const startedAt = performance.now()
  for await (const _ of readTraceParts([path])) {
    // Nothing is done with it.
  }
  seconds.push((performance.now() - startedAt) / 1000)
}
console.log(Math.min(...seconds))
