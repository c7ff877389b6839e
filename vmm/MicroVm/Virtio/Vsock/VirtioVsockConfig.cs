namespace MicroVm.Devices;

/// <summary>What the driver reads of a socket device: the guest's address.</summary>
public sealed partial class VirtioVsockConfig
{
    private readonly ulong _cid;

    /// <summary>Says the address.</summary>
    internal VirtioVsockConfig(uint cid)
    {
        _cid = cid;
        Initialize();
    }

    private partial ulong ReadGuestCid() => _cid;
}
