/** What to say to a command that does not exist. */
import type {Interfaces} from '@oclif/core'
import {closest} from './edit-distance.js'
import {Problem} from './errors.js'

/**
 * oclif hands over every word up to the first flag as the id (`trace:inof:traces/chat.csv`), so the
 * words are matched from the longest run of them to the first alone.
 */
export const unknownCommand = (
  id: string,
  argv: readonly string[],
  config: Interfaces.Config,
): Problem => {
  const words = id.split(':')
  const known = config.commands
    .filter((command) => !command.hidden)
    .map((command) => command.id.replaceAll(':', ' '))
    .sort()
  const named = config.topics.some((topic) => topic.name === words[0])
  const typed = words.slice(0, named ? 2 : 1).join(' ')
  for (let count = Math.min(words.length, 3); count > 0; count--) {
    const near = closest(words.slice(0, count).join(' '), known, 2)
    if (near.length === 0) continue
    const rest = [...words.slice(count), ...argv].map(quote)
    const suggestions = near.map((command) => [config.bin, command, ...rest].join(' '))
    return new Problem('COMMAND_UNKNOWN', `${config.bin} has no command "${typed}".`, {suggestions})
  }
  const help = named ? `${config.bin} ${words[0]} --help` : `${config.bin} --help`
  return new Problem('COMMAND_UNKNOWN', `${config.bin} has no command "${typed}".`, {
    suggestions: [help],
  })
}

/** So that the suggestion can be pasted into a shell. */
const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
