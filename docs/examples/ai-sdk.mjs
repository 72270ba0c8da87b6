// The Vercel AI SDK against a port of llmsim: a stream, a tool with its result, an object, and embeddings.
// Start the port first: llmsim listen --any-model
import {createOpenAI} from '@ai-sdk/openai'
import {embedMany, generateObject, generateText, stepCountIs, streamText, tool} from 'ai'
import {z} from 'zod'

const baseURL = process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:8000/v1'
const openai = createOpenAI({baseURL, apiKey: 'any'})

// The SDK speaks the Responses API here; openai.chat('any') would speak chat completions.
const {textStream, usage} = streamText({model: openai('any'), prompt: 'Why is the sky blue?', maxOutputTokens: 60})
for await (const piece of textStream) process.stdout.write(piece)
process.stdout.write(`\n${(await usage).outputTokens} tokens\n`)

const {steps, text} = await generateText({
  model: openai.chat('any'),
  prompt: 'What is the weather in Paris?',
  tools: {
    get_weather: tool({
      description: 'The weather of a city',
      inputSchema: z.object({city: z.string()}),
      execute: async () => 'sunny',
    }),
  },
  stopWhen: stepCountIs(3),
})
console.log(`${steps.length} steps, then ${text.length > 0 ? 'an answer' : 'nothing'}`)

const {object} = await generateObject({
  model: openai.chat('any'),
  schema: z.object({title: z.string(), tags: z.array(z.string())}),
  prompt: 'Describe a book',
})
console.log(`a book with ${Object.keys(object)}`)

const {embeddings} = await embedMany({model: openai.embedding('any'), values: ['one text', 'another text']})
console.log(`${embeddings.length} vectors of ${embeddings[0].length}`)
