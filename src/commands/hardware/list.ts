import {BaseCommand} from '../../base-command.js'
import {listHardware} from '../../catalogue/hardware.js'
import {
  type HardwareRecord,
  hardwareListTable,
  hardwareRecord,
} from '../../report/hardware-tables.js'

export default class HardwareList extends BaseCommand {
  static override description =
    'List the accelerators of the catalogue. "measured" names the kernels whose speed was measured on the device; the others use the defaults of its class.'
  static override summary = 'List the accelerators of the catalogue.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ]

  async run(): Promise<HardwareRecord[]> {
    await this.parse(HardwareList)
    const all = await listHardware()
    if (!this.jsonEnabled()) this.log(await hardwareListTable(all))
    return all.map(hardwareRecord)
  }
}
