/** LLMServingSim's published inputs and results, where the machine has them. They belong to their publisher and are only read. */
import {existsSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {root} from '../support/cli.js'

export const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
export const inData = (path: string): string => join(data, path)

/** Registers a test that needs files of the data folder; without them it is pending, and its title says why. */
export const published = (
  title: string,
  files: readonly string[],
  run: () => Promise<void>,
): void => {
  const missing = files.find((file) => !existsSync(inData(file)))
  if (missing === undefined) it(title, run).timeout(60_000)
  else it(`${title} (skipped: no ${missing} below LLMSIM_DATA)`)
}

/** One request of a result, all times in whole ns. */
export interface Row {
  readonly instance: number
  readonly end: number
  readonly queue: number
  readonly ttft: number
  readonly tpot: number
  readonly gaps: readonly number[]
}

/** LLMServingSim's result file, by request id. */
export const readPublished = (path: string): Map<number, Row> => {
  const [header, ...lines] = readFileSync(inData(path), 'utf8').trim().split('\n')
  const names = header!.split(',')
  const at = (name: string) => names.indexOf(name)
  return new Map(
    lines.map((line) => {
      // The gaps are the last column, a quoted list.
      const [plain, list] = line.split('"[')
      const cells = plain!.split(',')
      const gaps = (list ?? '').replace(']"', '').split(', ').filter(Boolean).map(Number)
      const row = {
        instance: Number(cells[at('instance id')]),
        end: Number(cells[at('end_time')]),
        queue: Number(cells[at('queuing_delay')]),
        ttft: Number(cells[at('TTFT')]),
        tpot: Number(cells[at('TPOT')]),
        gaps,
      }
      return [Number(cells[at('request id')]), row]
    }),
  )
}

/** Decimal text with so many digits after the point, as whole units of the last one. */
const units = (text: string, digits: number): number => {
  const [whole, fraction = ''] = text.split('.')
  return Number(whole) * 10 ** digits + Number(fraction.padEnd(digits, '0'))
}

/** The same from `requests.csv` of a run and the file of --itl. */
export const readOurs = (runFolder: string, itlFile: string): Map<number, Row> => {
  const table = (path: string) =>
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(','))
  const [names, ...rows] = table(join(runFolder, 'requests.csv'))
  const gaps = new Map(table(itlFile).map(([id, list]) => [id, list!.split(' ')]))
  return new Map(
    rows.map((cells) => {
      const cell = (name: string) => cells[names!.indexOf(name)]!
      const row = {
        instance: Number(cell('instance')),
        end: units(cell('finished_at'), 9),
        queue: units(cell('queue_ms'), 6),
        ttft: units(cell('ttft_ms'), 6),
        tpot: units(cell('tpot_ms'), 6),
        gaps: gaps.get(cell('request_id'))!.filter(Boolean).map(Number),
      }
      return [Number(cell('request_id')), row]
    }),
  )
}

/** The largest sum of two columns of `requests.csv` in a row. */
export const mostOfSum = (runFolder: string, one: string, other: string): number => {
  const [header, ...lines] = readFileSync(join(runFolder, 'requests.csv'), 'utf8')
    .trim()
    .split('\n')
  const names = header!.split(',')
  const [a, b] = [names.indexOf(one), names.indexOf(other)]
  if (a < 0 || b < 0) throw new Error(`requests.csv has no ${one} or ${other}`)
  return Math.max(...lines.map((line) => Number(line.split(',')[a]) + Number(line.split(',')[b])))
}

/** Σ of a column of `requests.csv`. */
export const sumOfColumn = (runFolder: string, name: string): number => {
  const [header, ...lines] = readFileSync(join(runFolder, 'requests.csv'), 'utf8')
    .trim()
    .split('\n')
  const at = header!.split(',').indexOf(name)
  return lines.reduce((sum, line) => sum + Number(line.split(',')[at]), 0)
}
