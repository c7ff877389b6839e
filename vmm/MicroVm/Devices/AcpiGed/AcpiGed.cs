using MicroVm.Hotplug;
using MicroVm.Interrupts;

namespace MicroVm.Devices;

/// <summary>The event selector behind the Generic Event Device: <c>_EVT</c> reads it to learn what happened.</summary>
public sealed partial class AcpiGed
{
    private readonly InterruptLine _line;

    internal AcpiGed(InterruptLine line)
    {
        _line = line;
        Initialize();
    }

    /// <summary>Presses the power button: the guest's ACPI driver starts an orderly shutdown, if it has one.</summary>
    internal void PressPowerButton() => Raise(Bits.SelectorPowerButton);

    /// <summary>There is something to tell of the units of a kind.</summary>
    internal void Announce(UnitKind kind) => Raise(kind switch
    {
        UnitKind.Cpu => Bits.SelectorCpuScan,
        UnitKind.Memory => Bits.SelectorMemoryScan,
        _ => Bits.SelectorPciScan,
    });

    private void Raise(uint bits)
    {
        RaiseSelector(bits);
        _line.Raise();
    }
}
