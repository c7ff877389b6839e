using MicroVm.Hotplug;
using MicroVm.Memory;

namespace MicroVm.Devices;

/// <summary>The registers of one thing that comes and goes; what they mean is <see cref="HotplugUnit"/>'s.</summary>
public sealed partial class AcpiUnit
{
    private readonly HotplugUnit _unit;

    internal AcpiUnit(HotplugUnit unit, ResidentPage page)
    {
        _unit = unit;
        Initialize(page);
    }

    /// <summary>Makes the page true after the unit changed. Under the gate.</summary>
    internal void Refresh() => PublishResident();

    private partial uint ReadStatus() =>
        (_unit.IsHere ? (uint)AcpiUnitConst.Here : 0) | (_unit.WantsCheck ? (uint)Bits.StatusCheckWanted : 0) | (_unit.WantsEject ? (uint)Bits.StatusEjectWanted : 0) |
        (_unit.IsLeaving ? (uint)Bits.StatusLeaving : 0);

    private partial void Execute(uint value)
    {
        _unit.Told((value & Bits.CommandCheckTold) != 0, (value & Bits.CommandEjectTold) != 0);
        if ((value & Bits.CommandEject) != 0) _unit.Eject();
    }

    private partial void Report(uint value) => _unit.Report(_r.Source, value);
}
