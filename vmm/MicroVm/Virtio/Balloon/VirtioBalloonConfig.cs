namespace MicroVm.Devices;

/// <summary>What the driver reads of a balloon, its target, and what it answers, its size.</summary>
public sealed partial class VirtioBalloonConfig
{
    private uint _target;

    /// <summary>Says the target at first, in pages of 4 KiB.</summary>
    internal VirtioBalloonConfig(uint target)
    {
        _target = target;
        Initialize();
    }

    /// <summary>Pages that the balloon should have. Any thread.</summary>
    internal uint Target
    {
        get => Volatile.Read(ref _target);
        set => Volatile.Write(ref _target, value);
    }

    /// <summary>Pages that it has, as the driver says. Any thread.</summary>
    internal uint Pages => Volatile.Read(ref _r.Actual);

    private partial uint ReadNumPages() => Target;
}
