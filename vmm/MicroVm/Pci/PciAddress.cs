using MicroVm.Devices;

namespace MicroVm.Pci;

/// <summary>Bus, device and function: who a PCI function is. Printed as <c>00:01.0</c>.</summary>
/// <param name="Bus">0 to 255.</param>
/// <param name="Device">0 to 31.</param>
/// <param name="Function">0 to 7.</param>
internal readonly record struct PciAddress(byte Bus, byte Device, byte Function)
{
    /// <summary>Offset of its configuration space in the ECAM range.</summary>
    internal ulong EcamOffset => (((ulong)Bus * (ulong)PciConst.DevicesPerBus + Device) * (ulong)PciConst.FunctionsPerDevice + Function) * (ulong)PciConst.FunctionSize;

    /// <summary>Device and function as one number, 0 to 255.</summary>
    internal int Devfn => Device * (int)PciConst.FunctionsPerDevice + Function;

    /// <summary>Device and function as <c>_ADR</c> has them (ACPI 6.5, 6.1.1).</summary>
    internal uint AcpiAddress => (uint)Device << 16 | Function;

    /// <summary>As it stands in a request on the bus: bus, device and function as one number.</summary>
    internal ushort RequesterId => (ushort)(Bus << 8 | Devfn);

    public override string ToString() => $"{Bus:x2}:{Device:x2}.{Function}";
}
