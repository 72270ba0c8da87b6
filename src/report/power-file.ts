/** `power.csv` of a run: mean power in equal intervals. */
import type {PowerSeries} from './energy.js'
import {RowFile} from './row-file.js'

export const powerColumns = ['start_s', 'end_s', 'devices_w', 'hosts_w', 'links_w', 'total_w']

/** Throws OUTPUT_NOT_WRITABLE. */
export function writePower(path: string, series: PowerSeries): void {
  const {startS, intervalS, devicesW, hostsW, linksW} = series
  const file = new RowFile(path, powerColumns.join(','))
  try {
    for (let i = 0; i < devicesW.length; i++) {
      const watts = [devicesW[i]!, hostsW[i]!, linksW[i]!]
      const total = watts.reduce((sum, value) => sum + value, 0)
      const times = [startS + i * intervalS, startS + (i + 1) * intervalS]
      file.write(
        [
          ...times.map((time) => time.toFixed(9)),
          ...[...watts, total].map((value) => value.toFixed(3)),
        ].join(','),
      )
    }
  } finally {
    file.close()
  }
}
