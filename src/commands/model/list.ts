import {BaseCommand} from '../../base-command.js'
import type {ModelRow} from '../../report/model-card.js'

export default class ModelList extends BaseCommand {
  static override summary = 'List the models that llmsim knows by name.'
  static override description =
    'Sizes are those of the checkpoint on one accelerator. Any other model works by the path of its config.json.'
  static override examples = [
    {
      command: '<%= config.bin %> <%= command.id %>',
      description: 'Every known model with its size.',
    },
    {
      command: '<%= config.bin %> <%= command.id %> --json',
      description: 'With all names that share a shape, for scripts.',
    },
  ]

  async run(): Promise<ModelRow[]> {
    await this.parse(ModelList)
    const [{listModels}, {modelListText, modelRows}] = await Promise.all([
      import('../../catalogue/models.js'),
      import('../../report/model-card.js'),
    ])
    const rows = modelRows(await listModels())
    if (!this.jsonEnabled()) this.log(await modelListText(rows))
    return rows
  }
}
