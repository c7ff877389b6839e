using System.Text;

namespace MicroVm.Devices;

/// <summary>What the driver reads of a shared folder: its tag, and how many queues there are for requests.</summary>
public sealed partial class VirtioFsConfig
{
    private readonly byte[] _tag = new byte[VirtioFsConst.TagLength];
    private readonly uint _requestQueues;

    /// <param name="tag">At most <see cref="VirtioFsConst.TagLength"/> bytes of UTF-8.</param>
    /// <param name="requestQueues">Queues beside the one of high priority.</param>
    internal VirtioFsConfig(string tag, int requestQueues)
    {
        _ = Encoding.UTF8.GetBytes(tag, _tag);
        _requestQueues = (uint)requestQueues;
        Initialize();
    }

    private partial byte ReadTag(int index) => _tag[index];

    private partial uint ReadRequestQueues() => _requestQueues;
}
