import {Args} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {loadHardware} from '../../catalogue/hardware.js'
import type {Hardware} from '../../catalogue/hardware-shape.js'
import {Problem} from '../../errors.js'
import {type HardwareRecord, hardwarePage, hardwareRecord} from '../../report/hardware-tables.js'

export default class HardwareShow extends BaseCommand {
  static override summary = 'Show what is known of one accelerator.'
  static override description =
    'Datasheet figures, links and kernel coefficients, each with its source and error. NAME is an id or alias of the catalogue, or the path of a .yaml file.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> H100',
    '<%= config.bin %> <%= command.id %> ./my-card.yaml',
  ]
  static override args = {
    name: Args.string({description: 'id, alias or path of a .yaml file', required: true}),
  }

  async run(): Promise<HardwareRecord & {kernels: Hardware['kernels']; notes: readonly string[]}> {
    const {args} = await this.parse(HardwareShow)
    const hardware = await loadHardware(args.name).catch((error: unknown) => {
      throw asArgument(error)
    })
    if (!this.jsonEnabled()) this.log(hardwarePage(hardware))
    const notes = [...hardware.notes, ...(hardware.unusual ?? [])]
    return {...hardwareRecord(hardware), kernels: hardware.kernels, notes}
  }
}

/** Elsewhere the name is that of `--hardware`. */
function asArgument(error: unknown): unknown {
  if (!(error instanceof Problem) || error.code !== 'HARDWARE_UNKNOWN') return error
  const {code, message, suggestions} = error
  return new Problem(code, message.replace(/^--hardware: there/, 'There'), {
    suggestions,
    cause: error,
  })
}
