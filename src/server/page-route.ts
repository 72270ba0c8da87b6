/** The page at `/` and the figures that it shows. */
import {readFile} from 'node:fs/promises'
import type {FastifyInstance} from 'fastify'
import {Activity} from './activity.js'
import type {Serving} from './serving.js'

export interface PageParts {
  readonly serving: Serving
  /** What is modelled, a few words each; shown at the top. */
  readonly about: {readonly [field: string]: unknown}
  /** A name that requests may use for the model. */
  readonly modelName: string
}

const pageFile = new URL('../../pages/live.html', import.meta.url)

/** Nothing is fetched from anywhere but the port itself. */
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"

export function addPage(app: FastifyInstance, {serving, about, modelName}: PageParts): void {
  const activity = new Activity(serving)
  app.addHook('onClose', () => activity.stop())
  app.get('/', async (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': policy,
        'cache-control': 'no-cache',
      })
      .send(await readFile(pageFile)),
  )
  app.get('/live', () => {
    const {running, waiting, usedBlocks, totalBlocks, lookedUpTokens, hitTokens, preemptions} =
      serving.backend.status()
    return {
      about,
      model: modelName,
      now: {
        running,
        waiting,
        open: serving.open,
        draining: serving.isDraining,
        kv_blocks: {used: usedBlocks, total: totalBlocks},
        prefix_hit_rate: lookedUpTokens === 0 ? null : hitTokens / lookedUpTokens,
        preemptions,
        rows: serving.recorder.rows,
        trace: serving.recorder.files.at(-1),
        trouble: serving.recorder.trouble ?? null,
      },
      samples: activity.samples,
      recent: activity.recent,
    }
  })
}
