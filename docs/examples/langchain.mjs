// LangChain against a port of llmsim: a chain that streams, a tool, and a structured answer.
// Start the port first: llmsim listen --any-model
import {ChatOpenAI} from '@langchain/openai'
import {ChatPromptTemplate} from '@langchain/core/prompts'
import {tool} from '@langchain/core/tools'
import {z} from 'zod'

const baseURL = process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:8000/v1'
const model = new ChatOpenAI({model: 'any', apiKey: 'any', maxTokens: 60, configuration: {baseURL}})

const prompt = ChatPromptTemplate.fromMessages([
  ['system', 'You explain things to {audience}.'],
  ['user', '{question}'],
])
const stream = await prompt.pipe(model).stream({audience: 'children', question: 'Why is the sky blue?'})
for await (const chunk of stream) process.stdout.write(chunk.text)
process.stdout.write('\n')

const weather = tool(() => 'sunny', {
  name: 'get_weather',
  description: 'The weather of a city',
  schema: z.object({city: z.string()}),
})
const {tool_calls: calls} = await model.bindTools([weather]).invoke('What is the weather in Paris?')
console.log(`calls ${calls[0].name} with ${Object.keys(calls[0].args)}`)

const Joke = z.object({setup: z.string(), punchline: z.string()})
const long = new ChatOpenAI({model: 'any', apiKey: 'any', configuration: {baseURL}})
const joke = await long.withStructuredOutput(Joke, {method: 'jsonSchema'}).invoke('A joke, please')
console.log(`a joke with ${Object.keys(joke)}`)
