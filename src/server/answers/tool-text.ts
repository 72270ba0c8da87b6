/** How calls and tools stand in the text that a model reads and writes (the style of Hermes and Qwen). */
import type {Tool, ToolCall} from '../requests/generation-request.js'

/** Before the arguments, the arguments, and after them: tokenized one by one, so an answer reads the same as a prompt. */
export const callSegments = ({
  name,
  arguments: json,
}: ToolCall): readonly [string, string, string] => [
  `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": `,
  json,
  '}\n</tool_call>',
]

/** What the system message says of the tools. */
export function toolsText(tools: readonly Tool[]): string {
  const lines = tools.map(({name, description, parameters}) =>
    JSON.stringify({type: 'function', function: {name, description, parameters}}),
  )
  return `\n\n# Tools\n\nCall a function by writing <tool_call>{"name": …, "arguments": …}</tool_call>.\n\n<tools>\n${lines.join('\n')}\n</tools>`
}
