import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {weightFormats} from '../../catalogue/weight-format.js'
import type {ModelCard} from '../../report/model-card.js'

export default class ModelShow extends BaseCommand {
  static override summary = 'Show the shape of a model: weights, KV cache and FLOPs.'
  static override description =
    'Names match without case and without organisation. A path of a config.json, or of a folder with one, works too.'
  static override examples = [
    {
      command: '<%= config.bin %> <%= command.id %> llama-3.1-8b',
      description: 'A model of the catalogue.',
    },
    {
      command: '<%= config.bin %> <%= command.id %> ./my-model/config.json --tp 2 --dtype fp8',
      description: 'Your own model in FP8, cut over two accelerators.',
    },
  ]
  static override args = {
    model: Args.string({
      description:
        'id of Hugging Face, or path of a config.json, of its folder, or of a model file',
      required: true,
    }),
  }
  static override flags = {
    tp: Flags.integer({description: 'Tensor parallel ranks.', default: 1, min: 1}),
    dtype: Flags.option({
      description: 'Weight format instead of that of the checkpoint.',
      options: weightFormats,
    })(),
    'kv-cache-dtype': Flags.option({
      description: 'Format of the KV cache.',
      options: ['auto', 'fp8'] as const,
      default: 'auto' as const,
    })(),
  }

  async run(): Promise<ModelCard> {
    const {args, flags} = await this.parse(ModelShow)
    const [{loadModel}, {modelCard, modelCardText}] = await Promise.all([
      import('../../catalogue/models.js'),
      import('../../report/model-card.js'),
    ])
    const card = modelCard(await loadModel(args.model), {
      tp: flags.tp,
      kvDtype: flags['kv-cache-dtype'],
      ...(flags.dtype === undefined ? {} : {dtype: flags.dtype}),
    })
    if (!this.jsonEnabled()) this.log(await modelCardText(card))
    return card
  }
}
