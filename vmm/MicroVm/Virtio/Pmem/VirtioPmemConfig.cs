using MicroVm.Virtio.Pmem;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a persistent memory: where it is.</summary>
public sealed partial class VirtioPmemConfig
{
    private readonly PmemFile _file;

    /// <summary>Says the place of a file.</summary>
    internal VirtioPmemConfig(PmemFile file)
    {
        _file = file;
        Initialize();
    }

    private partial ulong ReadStart() => _file.Start;

    private partial ulong ReadLength() => _file.Length;
}
