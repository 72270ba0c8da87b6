/** A model cut into pipeline stages: nothing is lost or counted twice, and hops cost what their bytes do. */

import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {linkOf, loadHardware} from '#llmsim/catalogue/hardware.js'
import {stageCuts} from '#llmsim/catalogue/parallelism.js'
import {hostTermsOf} from '#llmsim/latency/host.js'
import {pointToPointNs, stageHop} from '#llmsim/latency/point-to-point.js'
import {rooflineModel} from '#llmsim/latency/roofline.js'
import {llama8b, qwenMoe} from './models.js'
import {shapeOf} from './shapes.js'

const defaultHostTerms = hostTermsOf((await loadEngine('vllm-0.19')).profile, 'filtered')

const shapes = [
  shapeOf({chunks: [[700, 0]], contexts: [500, 900]}),
  shapeOf({contexts: [10, 20, 30]}),
]

describe('pipeline stages', () => {
  for (const model of [llama8b, qwenMoe])
    for (const pp of [2, 3, 5])
      it(`${model.id} in ${pp}: the stages add up to the whole`, async () => {
        const hardware = await loadHardware('H100')
        const of = (stage?: ReturnType<typeof stageCuts>[number]) =>
          rooflineModel({
            model,
            hardware,
            link: linkOf(hardware),
            parallelism: {tp: 2, ep: 1},
            kvDtype: 'auto',
            host: defaultHostTerms,
            stage,
          }).stepTime
        for (const shape of shapes) {
          const stages = stageCuts(model, pp).map((cut) => of(cut)(shape))
          const sum = stages.reduce((a, b) => a + b, 0)
          expect(sum).within(of()(shape) - pp, of()(shape) + pp)
          expect(Math.min(...stages)).above(0)
        }
      })

  it('a hop carries hidden state and residual, cut by the ranks of a stage', async () => {
    const link = linkOf(await loadHardware('H100'))!
    const hop = stageHop(link, {hiddenSize: 4096, tp: 2, pp: 4})
    const [shape] = shapes
    expect(hop(shape!)).equal(pointToPointNs(link, (702 * 4096 * 2 * 2) / 2))
    expect(hop(shape!)).above(hop(shapes[1]!))
  })
})
