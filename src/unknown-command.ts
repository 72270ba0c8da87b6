/** What to say to a command that does not exist. */
import type {Interfaces} from '@oclif/core'
import {closest} from './edit-distance.js'
import {Problem} from './errors.js'

/**
 * oclif hands over every word up to the first flag as the id (`trace:inof:traces/chat.csv`). In a topic
 * the second word is the mistyped one; elsewhere the words may stand for a command of as many words.
 */
export const unknownCommand = (
  id: string,
  argv: readonly string[],
  config: Interfaces.Config,
): Problem => {
  const words = id.split(':')
  if (id.startsWith('-')) {
    const near = closest(id, ['--help', '--version']).map((flag) => `${config.bin} ${flag}`)
    return new Problem('FLAG_UNKNOWN', `${config.bin} takes no flag ${id} before a command.`, {
      suggestions: near.length > 0 ? near : [`${config.bin} COMMAND ${id}`, `${config.bin} --help`],
    })
  }
  const known = config.commands
    .filter((command) => !command.hidden)
    .map((command) => command.id.split(':'))
    .sort()
  const whole = known.find((command) => command.every((word, i) => word === words[i]))
  if (whole !== undefined) return noArguments(whole, words.slice(whole.length), config)
  const topic = config.topics.some(({name}) => name === words[0]) ? words[0] : undefined
  const call = (...parts: readonly string[]): string => [config.bin, ...parts].join(' ')
  const typed = words.slice(0, topic === undefined ? 1 : 2).join(' ')
  const message = `${config.bin} has no command "${typed}".`
  const lengths = topic === undefined ? [3, 2, 1] : [2]
  for (const length of lengths.filter((count) => count <= words.length)) {
    const candidates = known.filter(
      (command) => command.length === length && (topic === undefined || command[0] === topic),
    )
    const spelling = (command: readonly string[]): string =>
      topic === undefined ? command.join(' ') : command.slice(1).join(' ')
    const near = closest(spelling(words.slice(0, length)), candidates.map(spelling), 2)
    if (near.length === 0) continue
    const start = topic === undefined ? [] : [topic]
    const rest = [...words.slice(length), ...argv].map(quote)
    const suggestions = near.map((command) => call(...start, command, ...rest))
    return new Problem('COMMAND_UNKNOWN', message, {suggestions})
  }
  const help = topic === undefined ? call('--help') : call(topic, '--help')
  return new Problem('COMMAND_UNKNOWN', message, {suggestions: [help]})
}

/** A command that takes no arguments was given some: oclif takes all words for the name of another. */
function noArguments(
  command: readonly string[],
  args: readonly string[],
  config: Interfaces.Config,
): Problem {
  const call = [config.bin, ...command].join(' ')
  const noun = args.length === 1 ? 'argument' : 'arguments'
  const topic = command.slice(0, -1)
  // What lists all of a kind has a neighbour that shows one.
  const show = [...topic, 'show']
  const hasShow = config.commands.some(({id}) => id === show.join(':'))
  return new Problem('ARGUMENT_UNEXPECTED', `${call} takes no ${noun} ${args.join(', ')}.`, {
    suggestions: [
      ...(hasShow ? [[config.bin, ...show, ...args.slice(0, 1).map(quote)].join(' ')] : []),
      call,
    ],
  })
}

/** So that the suggestion can be pasted into a shell. */
const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
