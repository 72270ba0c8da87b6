/** `--answer`: where the text of answers comes from. */
import {readFile} from 'node:fs/promises'
import {z} from 'zod'
import {Problem} from '../../errors.js'
import {whyUnreadable} from '../../unreadable.js'
import {ApiError} from '../api-error.js'
import type {Dice} from './dice.js'

export interface AnswerSource {
  readonly says: string
  /**
   * What is answered to `said`, the last message or the prompt; undefined: anything, of any length.
   * @throws ApiError 400 when there is no answer to this
   */
  answerTo(said: string, dice: Dice): string | undefined
}

const filler: AnswerSource = {says: 'filler', answerTo: () => undefined}

const echo: AnswerSource = {says: 'echo', answerTo: (said) => said}

/** @throws Problem FLAG_BAD_VALUE */
export async function loadAnswerSource(spec: string): Promise<AnswerSource> {
  if (spec === 'filler') return filler
  if (spec === 'echo') return echo
  if (!/[./\\]/.test(spec)) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--answer ${spec}: it is filler, echo, or a JSONL file of answers.`,
      {suggestions: ['--answer filler', '--answer ./answers.jsonl']},
    )
  }
  return fileSource(spec, await textOf(spec))
}

const line = z.strictObject({prompt: z.string().optional(), answer: z.string().min(1)})

const shape = '{"prompt": "…", "answer": "…"}, or {"answer": "…"} for any prompt'

function fileSource(file: string, text: string): AnswerSource {
  const byPrompt = new Map<string, string[]>()
  const forAny: string[] = []
  for (const [i, row] of text.split('\n').entries()) {
    if (row.trim() === '') continue
    const {prompt, answer} = parsedLine(`${file}:${i + 1}`, row)
    if (prompt === undefined) forAny.push(answer)
    else byPrompt.set(prompt, [...(byPrompt.get(prompt) ?? []), answer])
  }
  if (byPrompt.size === 0 && forAny.length === 0) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--answer ${file}: it holds no answers; a line is ${shape}.`,
    )
  }
  return {
    says: file,
    answerTo(said, dice) {
      const answers = byPrompt.get(said) ?? forAny
      if (answers.length > 0) return dice.of(answers)
      throw new ApiError(
        400,
        `There is no answer to this prompt in ${file}, and no line without "prompt" that answers any.`,
        {code: 'no_answer'},
      )
    },
  }
}

function parsedLine(place: string, row: string): z.output<typeof line> {
  let value: unknown
  try {
    value = JSON.parse(row)
  } catch {
    throw new Problem('FLAG_BAD_VALUE', `--answer ${place}: it is not JSON; a line is ${shape}.`)
  }
  const result = line.safeParse(value)
  if (result.success) return result.data
  const {path, message} = result.error.issues[0]!
  const where = path.length === 0 ? '' : ` ${path.join('.')}:`
  throw new Problem('FLAG_BAD_VALUE', `--answer ${place}:${where} ${message}; a line is ${shape}.`)
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new Problem('FLAG_BAD_VALUE', `--answer ${file}: ${whyUnreadable(error)}.`, {
      cause: error,
      suggestions: ['--answer filler', 'the path of a JSONL file, from the folder you are in'],
    })
  }
}
