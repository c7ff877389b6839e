using MicroVm.Interrupts;
using MicroVm.Memory;

namespace MicroVm.Devices;

/// <summary>One entry of an MSI-X table: a message, and whether it is masked.</summary>
public sealed partial class MsixEntry
{
    internal MsixEntry(ResidentPage page) => Initialize(page);

    internal MsiMessage Message => new(_r.Address, _r.Data);

    internal bool Masked => ControlMasked;

    /// <summary>Something was written since this was last cleared.</summary>
    internal bool Touched { get; set; }

    private partial void AddressChanged(ulong value) => Touched = true;

    private partial void Changed(uint value) => Touched = true;
}
