// Short prompts first, but nobody waits for ever: a thousand prompt tokens weigh as much as one second of waiting.
export default {
  key: (request) => request.arrivedAt / 1e9 + request.inputTokens / 1000,
  victim: 'largest-key',
}
