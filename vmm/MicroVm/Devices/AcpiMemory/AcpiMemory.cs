using MicroVm.Memory;

namespace MicroVm.Devices;

/// <summary>Where a memory device is, as its <c>_CRS</c> tells the guest (ACPI 6.5, 6.2.2).</summary>
public sealed partial class AcpiMemory
{
    private ulong _start, _length;

    internal AcpiMemory(ResidentPage page) => Initialize(page);

    /// <summary>Says another range; 0 bytes for none.</summary>
    internal void Show(ulong start, ulong length)
    {
        lock (Gate)
        {
            (_start, _length) = (start, length);
            PublishResident();
        }
    }

    private partial ulong ReadStart() => _start;

    private partial ulong ReadLength() => _length;
}
