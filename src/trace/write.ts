/** Trace → file, in any format that can hold it. */
import {open} from 'node:fs/promises'
import {dirname} from 'node:path'
import {Problem} from '../errors.js'
import {makeFolders, notWritable} from '../make-folder.js'
import type {TraceFormat} from './formats/format.js'
import {formatNames, formatOf, traceFormats} from './formats/registry.js'
import type {Trace} from './trace.js'

const pieceLength = 256 * 1024

function writable(name: string): TraceFormat {
  const format = formatOf(name)
  if (format?.write) return format
  throw new Problem(
    'FLAG_BAD_VALUE',
    `A trace cannot be written as "${name}"; it can be ${formatNames.filter((other) => formatOf(other)?.write).join(', ')}.`,
  )
}

/**
 * Writes a trace; our own format holds all of it. Returns a sentence for what the format cannot say.
 * FLAG_BAD_VALUE: no such format; FLAG_CONFLICT: the format has no place for turns without a time;
 * OUTPUT_NOT_WRITABLE: the file.
 */
export async function writeTrace(
  trace: Trace,
  path: string,
  format = 'llmsim',
): Promise<readonly string[]> {
  const target = writable(format)
  const {lines, lost, coarser = []} = target.write!(trace)
  if (lost.includes('think times')) {
    throw new Problem(
      'FLAG_CONFLICT',
      `The format ${target.name} needs a time for every request, and turns of this trace start when the one before has ended.`,
      {suggestions: ['write llmsim, llmservingsim or mooncake']},
    )
  }
  try {
    makeFolders(dirname(path))
    await writeLines(path, lines)
  } catch (error) {
    throw notWritable(path, error)
  }
  if (lost.length === 0) return coarser
  return [`${target.name} has no place for ${lost.join(', ')}: left out.`, ...coarser]
}

async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  const file = await open(path, 'w')
  try {
    let piece = ''
    for (const line of lines) {
      piece += `${line}\n`
      if (piece.length < pieceLength) continue
      await file.write(piece)
      piece = ''
    }
    await file.write(piece)
  } finally {
    await file.close()
  }
}

/** Names of the formats that can be written. */
export const writableFormats: readonly string[] = traceFormats
  .filter((format) => format.write !== undefined)
  .map(({name}) => name)
