/** A thread that tokenizes long texts, so that streams of others go on meanwhile. */
import {parentPort, workerData} from 'node:worker_threads'
import {loadTokenizer} from './tokenizer.js'

const tokenizer = await loadTokenizer(String(workerData))

parentPort!.on('message', ({id, text}: {id: number; text: string}) => {
  const ids = tokenizer.encode(text)
  parentPort!.postMessage({id, ids}, [ids.buffer as ArrayBuffer])
})
