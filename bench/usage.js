// Loaded into a process that is measured (node --import): says on its way out how much memory it took at most.
import {writeFileSync} from 'node:fs'

process.on('exit', () => {
  writeFileSync(process.env.LLMSIM_BENCH_USAGE, String(process.resourceUsage().maxRSS / 1024))
})
